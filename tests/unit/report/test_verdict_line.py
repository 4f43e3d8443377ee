"""The first words of every report: what a run came to, why, and what to do next."""

from __future__ import annotations

import msgspec
import pytest

from chaos.core import plugins as tables
from chaos.judge import verdicts
from chaos.report import headline as top
from chaos.report import story as tell
from chaos.report.answers import answers
from chaos.report.format import seconds
from chaos.results import check_names, states
from chaos.results.observed import Estimate, Outage
from chaos.results.predicted import Improvement
from chaos.results.report import Report
from chaos.results.verdict import Agreement, Check, Contribution, Extrapolated, Objective
from tests.support.paths import GOLDEN

SUCCESS = ("rolled back", "complete", "error-free", "effective", "on time", "reached by", "pass", "held", "healed")


@pytest.fixture(scope="module")
def report() -> Report:
    """A kept one, of nine faults."""
    return msgspec.json.decode((GOLDEN / "quickstart.report.json").read_bytes(), type=Report)


def said(report: Report, **changes: object) -> str:
    """The verdict line with these fields changed."""
    return top.line(msgspec.structs.replace(report, **changes))


@pytest.mark.parametrize(
    ("state", "word"),
    [("pass", "PASS"), ("fail", "FAIL"), ("inconclusive", "INCONCLUSIVE"), ("invalid", "INVALID"), ("aborted", "ABORTED"),
     ("interrupted", "INTERRUPTED"), ("baseline", "BASELINE"), ("left-over", "FAULTS LEFT OVER"), ("crashed", "CRASHED"),
     ("not-started", "NOT STARTED")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["text", "markdown", "html", "junit"])
def test_every_form_begins_with_the_word(name: str, state: str, word: str, report: Report) -> None:
    """With what a reader must know beside it."""
    verdict = state if state in ("pass", "fail") else "unknown"
    changed = msgspec.structs.replace(report, state=state, verdict=verdict, qualifiers=["baseline", "simulated"], reasons=["it is so"])
    shown = tables.find("reports", name)(changed)
    first = shown.splitlines()[0] if name in ("text", "markdown") else shown
    assert word in first
    assert "BASELINE" in first and "SIMULATED" in first


def test_all_outages_are_counted_where_a_fault_caused_several(report: Report) -> None:
    """The interval counts faults then; the sentence counts outages."""
    assert report.observed is not None
    thrice = msgspec.structs.replace(report.observed, outages=report.observed.outages * 3)
    sure = answers(msgspec.structs.replace(report, observed=thrice))[1].text
    assert f"from {3 * len(report.observed.outages)} outages after 9 faults" in sure


def test_states_are_told_apart_without_colour() -> None:
    """Each has an icon, an emoji and a first sentence of its own; only the two words for "not known" share theirs."""
    known = [state for state in states.STATES.values() if state is not states.UNKNOWN]
    for told in ("icon", "emoji", "word", "meaning"):
        assert len({getattr(state, told) for state in known}) == len(known), told
    assert all(len(state.icon) == 1 for state in known)
    assert {state.colour for state in known} <= set(states.COLOURS)


def test_a_baseline_is_no_pass_and_not_said_twice(report: Report) -> None:
    """Its word comes first, its qualifier is left out; beside another state it stands in brackets."""
    assert said(report, state="baseline", qualifiers=["baseline"]).startswith("BASELINE  quickstart: ")
    assert said(report, state="invalid", qualifiers=["baseline", "simulated"]).startswith("INVALID  quickstart [BASELINE, SIMULATED]: ")


def test_an_interrupted_run_says_how_far_it_came(report: Report) -> None:
    """Seconds and faults of those planned; whatever was asked of it was not."""
    faults = [msgspec.structs.replace(fault, effective_at_s=fault.effective_at_s if place == 0 else None)
              for place, fault in enumerate(report.faults)]  # fmt: skip
    text = said(report, state="interrupted", verdict="unknown", exit_code=130, halted_at_s=13.2, planned_s=52.0, planned_faults=4,
                faults=faults, reasons=[f"{check_names.FAILED[check_names.COMPLETE]}: SIGINT"],
                checks=[Check(check_names.HEALED, "pass", "verified")])  # fmt: skip
    assert "After 13 of 52 s (SIGINT): 1 of 4 faults ran; objectives not evaluated. All faults rolled back." in text


def test_an_aborted_run_says_when_and_why(report: Report) -> None:
    """And whether all was rolled back: if not, no word of it."""
    reasons = [f"{check_names.FAILED[check_names.COMPLETE]}: write unavailable for 3.61 s, limit 3 s"]
    changes = {"state": "aborted", "verdict": "unknown", "exit_code": 4, "halted_at_s": 9.6, "planned_s": 52.0, "reasons": reasons}
    clean = said(report, **changes, checks=[Check(check_names.HEALED, "pass", "verified")])
    assert "At 9.6 of 52 s: write unavailable for 3.61 s, limit 3 s. All faults rolled back." in clean
    assert "rolled back" not in said(report, **changes, checks=[Check(check_names.HEALED, "fail", "n1 is down")])


def test_too_few_faults_for_a_claim_say_so_and_how_many(report: Report) -> None:
    """The figure, what cannot be established by it, and the next step."""
    claim = Objective("mttr", "<= 2s", "claim", Estimate(0.43, reason="too few: 1 of at least 8", n=1), "unknown")
    faults = report.faults[:1]
    text = said(report, state="inconclusive", verdict="unknown", objectives=[claim], faults=faults)
    assert 'MTTR 430 ms, but one fault cannot establish "<= 2s".' in text
    assert verdicts.faults_needed(claim, 1) == 8


def test_more_faults_narrow_an_interval_by_their_square_root() -> None:
    """At 10 faults 0.92 with a low end of 0.88 is short of 0.90: to halve the distance four times as many are needed."""
    claim = Objective("availability", ">= 90%", "claim", Estimate(0.92, 0.88, 0.96, n=10), "unknown")
    assert verdicts.faults_needed(claim, 10) == 41
    on_the_limit = Objective("availability", ">= 92%", "claim", Estimate(0.92, 0.88, 0.96, n=10), "unknown")
    assert verdicts.faults_needed(on_the_limit, 10) is None


def test_without_faults_the_story_says_baseline_only(report: Report) -> None:
    """Not that clients saw nothing of faults that never were."""
    assert report.observed is not None
    none = msgspec.structs.replace(
        report, faults=[], qualifiers=["baseline"], observed=msgspec.structs.replace(report.observed, outages=[])
    )
    assert tell.story(none)[0].startswith("Baseline only (no faults injected): no outage of writes")
    assert not any("prediction" in sentence for sentence in tell.story(none))


def agreement(predicted: float, observed: float, *, detectable: bool) -> Agreement:
    """The overall row."""
    return Agreement(measure="downtime", service="write", fault_class="", predicted=predicted, observed=observed, p_value=0.01,
                     verdict="consistent", detectable=detectable, faults_to_decide=None)  # fmt: skip


def test_a_detectable_difference_is_said_in_the_story_with_its_size(report: Report) -> None:
    """Consistent within the margin, and 24 % less all the same."""
    told = msgspec.structs.replace(report, agreement=[agreement(16.3, 12.4, detectable=True)], agreement_overall="consistent")
    said = "A difference is detectable, though: clients lost 24 % less time than predicted."
    assert any(said in sentence for sentence in tell.story(told))


def test_faults_that_all_lie_on_one_side_are_said(report: Report) -> None:
    """Even where the test does not call the difference detectable; not if one of them lies on the other side."""
    assert report.predicted is not None
    faults = [msgspec.structs.replace(fault, recovery_s=0.01, fault_class="kill/leader") for fault in report.faults]
    told = msgspec.structs.replace(
        report, faults=faults, agreement=[agreement(10.0, 8.0, detectable=False)], agreement_overall="consistent"
    )
    assert "20 % less time than predicted" in " ".join(tell.story(told))
    mixed = msgspec.structs.replace(told, faults=[*faults[:-1], msgspec.structs.replace(faults[-1], recovery_s=99.0)])
    assert "less time than predicted" not in " ".join(tell.story(mixed))


@pytest.mark.parametrize("name", check_names.FAILED)
def test_a_failed_check_never_reads_as_a_success(name: str) -> None:
    """Its heading is what is wrong, without a word of what it would be if all were well."""
    failed = check_names.heading(name, "fail")
    assert failed != name
    assert not any(word in failed for word in SUCCESS)
    assert check_names.heading(name, "pass") == name


def test_every_check_has_a_noun_for_both_cases() -> None:
    """None is forgotten when one is added."""
    names = {value for key, value in vars(check_names).items() if key.isupper() and isinstance(value, str)}
    assert names == set(check_names.FAILED)


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({"folder": "runs/a b"}, "nines run 'runs/a b/experiment.yaml' --runtime fake --seed 3"),
        ({"folder": "r", "given": ["--no-faults"]}, "nines run r/experiment.yaml --runtime fake --seed 3 --no-faults"),
        ({"folder": "r", "given": ["--until-decided", "--max", "600s"]},
         "nines run r/experiment.yaml --runtime fake --seed 3 --until-decided --max 600s"),
        ({"folder": "r", "source": "/home/x;y/e.yaml"}, "nines run '/home/x;y/e.yaml' --runtime fake --seed 3"),
    ],
)  # fmt: skip
def test_the_command_that_repeats_it_carries_what_was_given(changes: dict[str, object], command: str, report: Report) -> None:
    """Quoted for a shell; the experiment's own file where it names files beside itself."""
    assert tell.reproduce(msgspec.structs.replace(report, runtime="fake", seed=3, **changes)) == command


def test_outages_that_no_fault_caused_are_told(report: Report) -> None:
    """ "After 9 faults" would blame faults for what the service did by itself; a short glitch among many outages is no news."""
    assert report.observed is not None and len(report.observed.outages) > 5
    mine, *rest = report.observed.outages
    alone = msgspec.structs.replace(mine, faults=[])

    def seen(*outages: Outage) -> str:
        return tell.story(msgspec.structs.replace(report, observed=msgspec.structs.replace(report.observed, outages=list(outages))))[0]

    assert "No fault caused any of them." in seen(alone, alone)
    assert "No fault caused the outage." in seen(alone)
    assert f"No fault caused 2 of them ({seconds(2 * alone.low_s)})." in seen(alone, alone, mine)
    assert "No fault caused" not in seen(mine, *rest)
    assert "No fault caused" not in seen(msgspec.structs.replace(alone, low_s=mine.low_s / 100), *rest)


def test_ten_times_as_much_is_not_told_in_percent(report: Report) -> None:
    """ "5499 % more" is read by no one; below ten times a percentage is what people expect."""
    row = next(row for row in report.agreement if row.predicted)
    for times, words in (
        (56.2, "56 times as much time as predicted"),
        (2.0, "100 % more time than predicted"),
        (0.5, "50 % less time than predicted"),
    ):
        assert tell.apart(msgspec.structs.replace(row, predicted=0.5, observed=0.5 * times)) == words


def test_the_first_screen_has_the_budget_and_says_why_two_figures_differ(report: Report) -> None:
    """The promise with what the model uses of it; the measured year before the modelled one, and what sets them apart."""
    assert report.predicted is not None
    production = msgspec.structs.replace(report.predicted.production, availability=0.9998, nines=3.7, downtime_s_per_year=6311.0)
    part = Contribution("kill/follower", "1 per 45d", "chosen", 1, 60_000.0, 0.9, "0 of 1 fault caused an outage; upper bound 95 %")
    scaled = Extrapolated(Estimate(0.998, 0.99, 0.999), Estimate(63_000.0, 1.0, 99_000.0), [part])
    told = msgspec.structs.replace(
        report, predicted=msgspec.structs.replace(report.predicted, production=production), extrapolated=scaled,
        slo={"availability": 0.9995, "window_s": 2_592_000.0, "latency_s": None},
    )  # fmt: skip
    story = tell.story(told)
    measured, model = (next(place for place, line in enumerate(story) if line.startswith(word)) for word in ("Measured outages", "Model"))
    assert measured < model
    assert "differs because of kill/follower: 0 of 1 fault caused an outage" in story[model]
    meets = answers(told)[0].text
    # 0.05 % of a year of 365 days is 15768 s, of 30 days 21 min 36 s; 63000 and 99000 s are 400 % and 628 % of the former.
    assert "Measured outages use 400 % of the error budget of 21 min 36 s in 30 d (under 0.01 % to 630 %)" in meets
    assert "The model expects 40 %" in meets and "differs because of kill/follower" in meets
    assert meets.startswith("Probably not: its objectives are met. The SLO (99.95 % over 30 d) is probably missed")
    near = msgspec.structs.replace(scaled, downtime_s_per_year=Estimate(6000.0, 1.0, 9000.0))
    told = msgspec.structs.replace(told, extrapolated=near)
    assert "differs because" not in " ".join(tell.story(told))
    assert answers(told)[0].text.startswith("Yes: the SLO (99.95 % over 30 d) is met at the assumed fault rates.")


def test_consistent_says_how_close(report: Report) -> None:
    """The interval of true over predicted stands beside the word."""
    row = msgspec.structs.replace(agreement(10.0, 10.5, detectable=False), low=0.9, high=1.2)
    story = " ".join(tell.story(msgspec.structs.replace(report, agreement=[row], agreement_overall="consistent")))
    assert "true downtime is 0.9 to 1.2 times the predicted" in story


@pytest.mark.parametrize("state", [name for name in states.STATES if name not in ("simulated", "unknown")])
def test_every_state_answers_the_four_questions(state: str, report: Report) -> None:
    """Whether it is good enough or why that is open, how sure, a next step, what it rests on; nothing good is said of an invalid run."""
    code = next((code for code, found in states.BY_CODE.items() if found.name == state), 3)
    told = msgspec.structs.replace(report, state=state, exit_code=code, reasons=["it is so"], verdict="unknown")
    meets, sure, first, rests = answers(told)
    assert all(answer.text and not answer.text.startswith(" ") for answer in (meets, sure, first, rests))
    assert first.question == ("Fix first" if state in ("pass", "fail") else "Next")
    if state not in ("pass", "fail", "inconclusive", "baseline"):
        assert meets.text.startswith("Not answered.") and states.STATES[state].meaning in meets.text
        assert "do not use the figures" in sure.text


def test_the_first_advice_is_something_that_can_be_chosen(report: Report) -> None:
    """Fewer faults would help most, and nobody can order that; what saves a thousandth of the budget is not worth fixing."""
    assert report.predicted is not None
    rates = Improvement("fault rates (half as many)", 1.0, 900_000.0, chosen=False)
    timeout = Improvement("election_timeout_s", 0.5, 10.0)
    production = msgspec.structs.replace(report.predicted.production, improve_first=[timeout, rates], downtime_s_per_year=100.0)
    told = msgspec.structs.replace(
        report, state="pass", predicted=msgspec.structs.replace(report.predicted, production=production),
        slo={"availability": 0.9995, "window_s": 2_592_000.0, "latency_s": None},
        extrapolated=Extrapolated(Estimate(0.999), Estimate(100.0, 50.0, 300.0), []),
    )  # fmt: skip
    assert answers(told)[2].text.startswith("Nothing is worth fixing: halving election_timeout saves most")
    dear = msgspec.structs.replace(timeout, halving_saves_s_per_year=1000.0)
    production = msgspec.structs.replace(production, improve_first=[dear, rates])
    told = msgspec.structs.replace(told, predicted=msgspec.structs.replace(report.predicted, production=production))
    assert answers(told)[2].text.startswith("Biggest lever, by the model: election_timeout")


@pytest.mark.parametrize(
    ("name", "want", "low", "high", "sure"),
    [("mttr", "<= 400ms", 0.535, 4.16, True), ("mttr", "<= 400ms", 0.35, 4.16, False), ("mttr", "<400ms", 0.4001, 0.5, True),
     ("availability", ">= 99%", 0.9, 0.98, True), ("availability", ">= 99%", 0.9, 0.995, False),
     ("availability", ">= 99%", None, 0.9, False), ("lost_writes", "== 0", 1.0, 2.0, False)],
)  # fmt: skip
def test_a_miss_is_sure_where_the_whole_interval_lies_beyond_the_limit(
    name: str, want: str, low: float | None, high: float, sure: bool, report: Report
) -> None:
    missed = Objective(name, want, "run", Estimate(high, low, high, n=6), "fail")
    failed = msgspec.structs.replace(report, verdict="fail", state="fail", objectives=[missed])
    how_sure = next(each.text for each in answers(failed) if each.question == "How sure")
    assert (f"the miss is sure: the whole interval lies beyond {want}" in how_sure) is sure


def test_a_pass_names_what_was_measured_beside_what_was_wanted(report: Report) -> None:
    good_enough = answers(report)[0].text
    assert "MTTR 701 ms, wanted <= 2s" in good_enough
    many = msgspec.structs.replace(report, objectives=report.objectives * 2)
    assert "wanted <= 2s" not in answers(many)[0].text


def test_a_simulation_asks_for_a_real_run_first(report: Report) -> None:
    simulated = msgspec.structs.replace(report, qualifiers=[states.SIMULATED.name])
    step = answers(simulated)[2]
    assert step.question == "Next"
    assert step.sentences[0].startswith("Run it on a real system")


def test_a_class_without_a_model_is_named_and_not_called_too_few(report: Report) -> None:
    """More faults of a class that no model knows would never test the prediction."""
    rows = [Agreement("downtime", "write", "", None, 0.12, None, "inconclusive", False, None),
            Agreement("share", "write", "kill/node", 0.0, 0.0, 1.0, "inconclusive", False, 8),
            Agreement("downtime", "write", "pause/part:web", None, 0.12, None, "inconclusive", False, None)]  # fmt: skip
    changed = msgspec.structs.replace(report, agreement=rows, agreement_overall="inconclusive")
    words = " ".join([*(each.text for each in answers(changed)), *tell.story(changed)])
    assert "untested: none for pause/part:web" in words
    assert "predict nothing for pause/part:web" in words
    assert "too few to test" not in words and "untested: too few" not in words
