"""What the heuristic judge can measure."""

from mira_spark.judges.heuristic import properties_code, properties_prose, properties_text

PROPERTIES = (
    *properties_text.PROPERTIES,
    *properties_prose.PROPERTIES,
    *properties_code.PROPERTIES,
)


def known_properties() -> dict[str, str]:
    """The definition of each property that can be measured, by name."""
    return {each.name: each.definition for each in PROPERTIES}
