"""The recognizer of sound.

Shapes: n samples, m parts of each, s steps of time, f frequencies.
"""

from __future__ import annotations

from intarsia.core.registries import RECOGNIZERS
from intarsia.tasks.action.recognizer3d import Recognizer3D


@RECOGNIZERS.register_module(name=['AudioRecognizer', 'RecognizerAudio'])
class AudioRecognizer(Recognizer3D):
    """Gives a clip its class from its sound: spectrograms ``audios``, ``(N, M, 1, S, F)``.

    Arguments as :class:`~intarsia.tasks.action.recognizer.Recognizer`.
    """

    input_key = 'audios'
