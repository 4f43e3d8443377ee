"""The articles' formulas as a table, in English and Chinese: what is printed, what it means, what is right, and one worked example each.

The figures are computed here by ``article``; only the words are kept. No verdict and no report reads any of it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from chaos.core.errors import BadInput
from chaos.predict import formulas as article

LANGUAGES: Final = ("en", "zh")


class FormulaRow(msgspec.Struct, frozen=True):
    """One printed formula."""

    name: str
    printed: str
    meaning: str
    corrected: str
    example: str
    printed_value: float
    corrected_value: float | None
    is_probability: bool


class _Words(msgspec.Struct, frozen=True):
    name: str
    meaning: str
    corrected: str
    example: str


HEADS: Final = {
    "en": ("printed", "what it computes", "the right form", "example", "prints", "is"),
    "zh": ("原文公式", "它实际算出的是", "正确的形式", "例子", "原式得", "应为"),
}
NOTES: Final = {
    "en": "No verdict and no report of Nines uses the printed formulas. F(s; x) = sum_{k=0..s} exp(-x) x^k / k!; l: failure rate, "
    "m: repair rate.",
    "zh": "Nines 的判定和报告从不使用原文公式。F(s; x) = Σ_{k=0..s} e^(-x) x^k / k!；l：故障率，m：修复率。",
}

_WORDS: Final[dict[str, tuple[_Words, ...]]] = {
    "en": (
        _Words(
            "Reliability R(s)",
            "P(more than s failures by t): the complement of the reliability; it rises with time, falls with every spare",
            "F(s; lt): one active unit, s cold spares, perfect switching, no repair",
            "lt = 0.2, s = 1",
        ),
        _Words(
            "Availability A(s)",
            "nothing: lies in [-1, 1), is -1 at t = 0, and tends to 1 whatever the rates",
            "the solved chain; for s cold spares and one crew 1 - r^(s+1) / sum_{j<=s+1} r^j, r = l/m",
            "l = 0.02/h, m = 0.4/h, s = 1, t = 2 h",
        ),
        _Words(
            "Availability",
            "long-run availability, if MTBF is the mean up time",
            "(MTBF - MTTR) / MTBF, if MTBF is from failure to failure",
            "MTBF = 200 h, MTTR = 10 h",
        ),
        _Words(
            "Fault tolerance",
            "availability again, under another name",
            "tolerated faults n - k; beside it the share of faults that clients do not notice",
            "3 nodes, 2 needed; MTBF = 200 h, MTTR = 10 h",
        ),
        _Words(
            "Scalability",
            "a ratio whose unit depends on the reading: 400 requests/s per node, or 0.8, or 0.9",
            "efficiency (X2/X1) / (R2/R1) at a fixed latency objective, or a fitted universal scalability law",
            "2 to 4 nodes, 1000 to 1800 requests/s",
        ),
        _Words(
            "Maintainability",
            "the odds of unavailability, (1 - A)/A: it grows as maintenance gets worse",
            "M(t) = P(repaired within t); report median, 95th percentile, MTTR",
            "up 200 h, down 10 h a cycle; t = 10 h, exponential repairs",
        ),
    ),
    "zh": (
        _Words(
            "可靠性 R(s)",
            "到 t 时故障次数多于 s 的概率，即可靠性的补数：随时间上升，每加一个备件反而下降",
            "F(s; lt)：一个工作单元、s 个冷备件、切换完美、不修复",
            "lt = 0.2, s = 1",
        ),
        _Words(
            "可用性 A(s)",
            "什么都不是：取值在 [-1, 1)，t = 0 时为 -1，无论速率如何都趋于 1",
            "求解马尔可夫链；s 个冷备件、一名维修工时为 1 - r^(s+1) / Σ_{j<=s+1} r^j，r = l/m",
            "l = 0.02/h, m = 0.4/h, s = 1, t = 2 h",
        ),
        _Words(
            "可用性",
            "长期可用性，前提是 MTBF 指平均正常运行时间",
            "若 MTBF 指相邻两次故障的间隔，则为 (MTBF - MTTR) / MTBF",
            "MTBF = 200 h, MTTR = 10 h",
        ),
        _Words(
            "容错性",
            "还是可用性，只是换了名字",
            "可容忍的故障数 n - k；并给出客户端未察觉的故障所占比例及其区间",
            "3 个节点、需要 2 个；MTBF = 200 h, MTTR = 10 h",
        ),
        _Words(
            "可扩展性",
            "一个比值，单位取决于读法：每节点 400 次请求/秒，或 0.8，或 0.9",
            "固定时延目标下的效率 (X2/X1) / (R2/R1)，或拟合通用可扩展性定律",
            "2 → 4 个节点，1000 → 1800 次请求/秒",
        ),
        _Words(
            "可维护性",
            "不可用的几率 (1 - A)/A：维护越差数值越大",
            "M(t) = t 内修复完成的概率；报告中位数、95 分位数和 MTTR",
            "每周期正常 200 h、中断 10 h；t = 10 h，指数分布修复",
        ),
    ),
}


def table(language: str = "en") -> list[FormulaRow]:
    """All rows in one language; ``BadInput`` for another one."""
    if language not in LANGUAGES:
        raise BadInput(f"no words in '{language}'", right=f"one of: {', '.join(LANGUAGES)}")
    computed = (
        article.reliability_as_printed(0.2, 1, 1.0),
        article.availability_as_printed(0.02, 0.4, 1, 2.0),
        article.availability_from_mtbf(200.0, 10.0),
        article.fault_tolerance_as_printed(200.0, 10.0, 3, 2),
        article.scalability_as_printed((1000.0, 1800.0), (2.0, 4.0)),
        article.maintainability_as_printed(200.0, 10.0, 10.0),
    )
    return [
        FormulaRow(
            name=words.name,
            printed=formula.printed,
            meaning=words.meaning,
            corrected=words.corrected,
            example=words.example,
            printed_value=formula.value,
            corrected_value=formula.corrected,
            is_probability=formula.is_probability,
        )
        for words, formula in zip(_WORDS[language], computed, strict=True)
    ]
