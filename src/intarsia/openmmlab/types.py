"""Names of types in annotations of the second generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from intarsia.openmmlab.config import ConfigDict
from intarsia.openmmlab.structures import BaseDataElement, InstanceData, PixelData

ConfigType = ConfigDict | dict[str, Any]
OptConfigType = ConfigType | None
MultiConfig = ConfigType | Sequence[ConfigType]
OptMultiConfig = MultiConfig | None
SampleList = list[BaseDataElement]
OptSampleList = SampleList | None
InstanceList = list[InstanceData]
PixelDataList = list[PixelData]
Predictions = InstanceList | tuple[InstanceList, PixelDataList]
Features = Tensor | Sequence[Any]
TensorDict = dict[str, Tensor]
TensorList = Sequence[Tensor]
ForwardResults = dict[str, Tensor] | SampleList | tuple[Tensor, ...] | Tensor
