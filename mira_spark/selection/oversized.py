"""Documents that are too large for their pool: they are set aside, whatever the budget.

A walk ends at the first document that does not fit, so what it leaves of its pool's share is less
than its largest document. A document is oversized when it has more than `max_document_share` of its
pool's tokens and more than ten times the tokens of the pool's mean document, both of all that
competes by the other settings. So fewer than one in ten are, and none in a pool of ten. As budgets
have no part in it, a larger one drops nothing that a smaller one kept.
"""

from fractions import Fraction

from mira_spark.selection.allocation import Policy, pools
from mira_spark.selection.histogram import Bins
from mira_spark.settings.selection import parse_share

MEAN_DOCUMENTS = 10


def most_tokens(policy: Policy, counted: Bins) -> dict[str, int]:
    """By source, the most tokens with which a document is not oversized."""
    share = parse_share(policy.max_document_share) or Fraction(0)
    competing = counted.competing
    found: dict[str, int] = {}
    for sources in pools(policy, counted.groups).values():
        documents = sum(competing[source][0] for source in sources)
        tokens = sum(competing[source][1] for source in sources)
        most = tokens * max(share, Fraction(MEAN_DOCUMENTS, max(1, documents)))
        found |= dict.fromkeys(sources, int(most))
    return found
