"""A claim and its replications in words. A claim without replications gets none."""

from pipeline.reporting import findings


def sentences(claim: dict) -> list[str]:
    """In how many replications the verdict held, which of them contradict it, and which do not count."""
    items = claim.get("replications", [])
    counting = [item for item in items if not item["obstacle"]]
    contradicting = _contradicting(claim)
    said = []

    if contradicting:
        others = " and ".join(f"“{item['verdict']}” in {item['name']}" for item in contradicting)
        said.append(f"The verdict is “{claim['verdict_here']}” here and {others}.")

    if counting:
        held = len(counting) - len(contradicting)
        said.append(
            f"The verdict here held in {held} of {findings.count(len(counting), 'replication')}."
        )

    said += [
        f"Replication {item['name']} does not count: {item['obstacle']}."
        for item in items
        if item["obstacle"]
    ]
    return said


def elsewhere(claim: dict, measure: dict) -> str:
    """The same number in each replication that contradicts the verdict, behind ours; empty where none does."""
    numbers = []

    for item in _contradicting(claim):
        same = [other for other in item["measures"] if other["what"] == measure["what"]]
        numbers.append(f"{item['name']}: {_number(same[0]) if same else 'not measured'}")

    return "; ".join(numbers)


def _contradicting(claim: dict) -> list[dict]:
    items = claim.get("replications", [])
    return [
        item for item in items if not item["obstacle"] and item["verdict"] != claim["verdict_here"]
    ]


def _number(measure: dict) -> str:
    """
    >>> ends = {"low": -0.067, "high": 0.13, "decided_low": None, "decided_high": None}
    >>> sides = {"side": "above", "threshold": 0.0, "fails_beyond": None}
    >>> _number({"value": 0.032, "unit": "points", **ends, **sides})
    '+3.2 points (−6.7 to +13.0 points)'
    """
    words = findings.measured(measure)
    between = words["between"] or "no interval"
    return f"{words['value']} ({between})"
