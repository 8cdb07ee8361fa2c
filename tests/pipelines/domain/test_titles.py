import pytest

from services.pipelines.domain.definitions import read_fields
from services.pipelines.domain.titles import default_template, template_faults


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["number", "email", "text"], "{f2}"),
        (["textarea", "number", "email"], "{f2}"),
        (["number", "textarea"], ""),
        ([], ""),
    ],
)
def test_the_default_title(types: list[str], expected: str) -> None:
    """The first text field, failing that an address or choice, failing that nothing."""
    placed, _ = read_fields([{"name": f"f{i}", "type": t} for i, t in enumerate(types)], "")
    assert default_template(tuple(field for _, field in placed)) == expected


@pytest.mark.parametrize(
    ("template", "codes"),
    [
        ("{a} and {b}", []),
        ("no field", []),
        ("{c}", ["unknown_name"]),
        ("{}", ["unknown_name"]),
        ("{a", ["invalid_template"]),
        ("a} {a}", ["invalid_template"]),
        ("{{a}}", ["invalid_template"]),
        ("{c} {", ["unknown_name", "invalid_template"]),
    ],
)
def test_faults_of_a_template(template: str, codes: list[str]) -> None:
    """Placeholders name fields, and braces stand in pairs."""
    assert [fault.code for fault in template_faults(template, {"a", "b"}, "")] == codes
