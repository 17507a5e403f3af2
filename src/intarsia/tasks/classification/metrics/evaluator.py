"""Makes metrics of the results of a classifier, as the ``evaluation`` section of a config asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from intarsia.core.errors import closest
from intarsia.core.registries import METRICS
from intarsia.engine.metrics.metric import as_thresholds
from intarsia.engine.metrics.score_evaluator import ScoreEvaluator
from intarsia.tasks.classification.metrics.accuracy import Accuracy
from intarsia.tasks.classification.metrics.average_precision import AveragePrecision
from intarsia.tasks.classification.metrics.multi_label import MultiLabelMetric
from intarsia.tasks.classification.metrics.single_label import SingleLabelMetric

SINGLE_LABEL_NAMES = ('accuracy', 'support', 'precision', 'recall', 'f1_score')
MULTI_LABEL_NAMES = ('mAP', 'CP', 'CR', 'CF1', 'OP', 'OR', 'OF1')
USUAL_TOPK = (1, 5)


class ClassificationEvaluator(ScoreEvaluator):
    """The metrics of one data set; see :class:`intarsia.engine.evaluator.Evaluator`.

    Named metrics of data sets with one label a sample are ``accuracy`` (reported as ``accuracy_top-1``,
    ``accuracy_top-5``), ``precision``, ``recall``, ``f1_score`` and ``support``; with several labels a sample ``mAP``,
    ``CP``, ``CR``, ``CF1``, ``OP``, ``OR`` and ``OF1``. All but ``support`` are percentages. Metrics of METRICS report
    under their own names.

    Args:
        dataset: Its ``get_gt_labels()`` gives targets where batches have no ``gt_label``; may be None.
        metric: A name, a node or a list of such; None is ``accuracy``, or ``mAP`` for several labels a sample. A node
            has a name with options of its own (``dict(type='accuracy', topk=(1, 3))``) or a metric of METRICS.
        topk: Of the accuracy: one k (reported as ``accuracy``) or several. None is (1, 5), without the 5 if the model
            has fewer classes; a k that is asked for must not exceed their number.
        thrs: Of all metrics for one label: only scores above this value count; one or several (reported with the
            suffix ``_thr_0.30``), None for no threshold.
        average_mode: Of precision, recall, F1 and support: ``'macro'`` is the mean over classes (of support: the
            sum), ``'micro'`` takes all classes together, ``'none'`` gives a list over classes.
        k: Of CP ... OF1: without ``thr`` the k best classes are answered.
        thr: Of CP ... OF1: classes whose score is at least this value are answered; 0.5 if neither is given.
        difficult: Of CP ... OF1: whether a label -1 counts as not there, as the older toolboxes had it, or is left out.

    Raises:
        ValueError: A name is unknown, or is none of the data set's kind; an option has no such value.
    """

    def __init__(
        self,
        dataset: Any = None,
        metric: str | Mapping[str, Any] | Sequence[Any] | None = None,
        *,
        topk: int | Sequence[int] | None = None,
        thrs: float | Sequence[float | None] | None = None,
        average_mode: Literal['macro', 'micro', 'none'] = 'macro',
        k: int | None = None,
        thr: float | None = None,
        difficult: Literal['negative', 'ignored'] = 'negative',
    ) -> None:
        super().__init__(dataset, 'gt_label')
        asked = [metric] if isinstance(metric, (str, Mapping)) else list(metric or ())
        nodes = [each for each in asked if isinstance(each, Mapping)]
        names = [each for each in asked if not isinstance(each, Mapping)]
        is_multi_label = self._is_multi_label(names or [node.get('type') for node in nodes])
        if not asked:
            names = ['mAP'] if is_multi_label else ['accuracy']
        _check_names(names, MULTI_LABEL_NAMES if is_multi_label else SINGLE_LABEL_NAMES, is_multi_label)
        if is_multi_label:
            self._add_multi_label(names, thr, k, difficult)
        else:
            self._add_single_label(names, topk, thrs, average_mode)
        options = dict(topk=topk, thrs=thrs, average_mode=average_mode, k=k, thr=thr, difficult=difficult)
        for node in nodes:
            if node.get('type') in (MULTI_LABEL_NAMES if is_multi_label else SINGLE_LABEL_NAMES):
                named = {**options, **node}
                inner = ClassificationEvaluator(dataset, named.pop('type'), **named)
                self.parts += [part for part in inner.parts if part[0] is not inner.matrix]
            else:
                built = METRICS.of('classification').build(node)
                self.parts.append((built, built.compute))
        if not is_multi_label:
            self.count_matrix()

    def _is_multi_label(self, names: Sequence[str]) -> bool:
        if self.labels is not None:
            return self.labels.ndim == 2
        return bool(names) and set(names) <= set(MULTI_LABEL_NAMES)

    # ------------------------------------------------------------------ named metrics

    def _add_single_label(
        self,
        names: Sequence[str],
        topk: int | Sequence[int] | None,
        thrs: float | Sequence[float | None] | None,
        average: Literal['macro', 'micro', 'none'],
    ) -> None:
        suffixes = [_suffix(thr) for thr in as_thresholds(thrs)] if isinstance(thrs, Sequence) else ['']
        if 'accuracy' in names:
            accuracy = Accuracy(topk=1 if topk is None else topk, thrs=thrs)
            self.parts.append((accuracy, partial(_report_accuracy, accuracy, topk, suffixes)))
        items = [name for name in SINGLE_LABEL_NAMES if name in names and name != 'accuracy']
        if items:
            single = SingleLabelMetric(thrs=thrs, average=average)
            self.parts.append((single, partial(_report_precision, single, items, suffixes)))

    def _add_multi_label(
        self, names: Sequence[str], thr: float | None, k: int | None, difficult: Literal['negative', 'ignored']
    ) -> None:
        if 'mAP' in names:
            area = AveragePrecision()
            self.parts.append((area, area.values))
        items = [name for name in MULTI_LABEL_NAMES if name in names and name != 'mAP']
        if items:
            multi = MultiLabelMetric(thr=thr, topk=k, difficult=difficult)
            self.parts.append((multi, partial(_report_overall, multi, items)))


def _check_names(names: Sequence[Any], known: Sequence[str], is_multi_label: bool) -> None:
    for name in names:
        if name not in known:
            close = closest(str(name), known)
            hint = f" Did you mean '{close}'?" if close else ''
            kind = 'several labels a sample' if is_multi_label else 'one label a sample'
            raise ValueError(f"there is no metric '{name}' for {kind}.{hint} There are: {', '.join(known)}.")


def _report_accuracy(accuracy: Accuracy, topk: int | Sequence[int] | None, suffixes: Sequence[str]) -> dict[str, float]:
    if topk is None:
        ks = {f'accuracy_top-{k}': k for k in USUAL_TOPK if k <= accuracy.num_classes}
    elif isinstance(topk, int):
        ks = {'accuracy': topk}
    else:
        ks = {f'accuracy_top-{k}': k for k in topk}
    return {
        f'{name}{suffix}': value
        for name, k in ks.items()
        for suffix, value in zip(suffixes, accuracy.percent(k), strict=True)
    }


def _report_precision(metric: SingleLabelMetric, names: Sequence[str], suffixes: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in names:
        found = [result.items()[name.replace('f1_score', 'f1-score')].tolist() for result in metric.results()]
        if name == 'support':
            values[name] = found[0]
        else:
            values.update({f'{name}{suffix}': value for suffix, value in zip(suffixes, found, strict=True)})
    return values


def _report_overall(metric: MultiLabelMetric, names: Sequence[str]) -> dict[str, float]:
    values = metric.overall()
    return {name: values[name] for name in names}


def _suffix(thr: float | None) -> str:
    return '_no_thr' if thr is None else f'_thr_{thr:.2f}'
