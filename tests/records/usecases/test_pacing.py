"""How much a job does at once."""

from services.records.usecases.pacing import FEWEST, MOST, SECONDS, Pace


def test_a_batch_is_what_takes_some_milliseconds() -> None:
    """One that took too long is followed by as many as fit, a quick one by twice as many, within bounds."""
    pace = Pace(800)
    pace.learn(SECONDS * 4)
    assert pace.size == 200
    pace.learn(SECONDS / 100)
    assert pace.size == 400
    for took, bound in ((60.0, FEWEST), (0.0, MOST)):
        for _ in range(20):
            pace.learn(took)
        assert pace.size == bound
