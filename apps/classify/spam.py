"""Is it spam, by what an organisation's people have marked? Bayes' rule as G. Robinson and SpamBayes have it.

Each clue's share of spam among the mails that had it is pulled towards "cannot tell" the fewer those were (Robinson,
"A Statistical Approach to the Spam Problem", Linux Journal 107, 2003). The strongest `STRONGEST` are combined by
Fisher's method, twice: how unlikely would they be if the mail were no spam, and if it were. A mail with strong clues
both ways comes out in the middle, which is why this is preferred to a plain product, where one side always wins.

Pure: counts in, a score out. With fewer than `ENOUGH` mails of each kind there is no score at all.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

ENOUGH = 20
STRONGEST = 150
PRIOR_STRENGTH = 1.0
UNKNOWN = 0.5
# Clues this near to "cannot tell" are left out: they are most of a mail, and say nothing together.
SILENT = 0.1
TOLD = 24


@dataclass(frozen=True, slots=True)
class Learned:
    """How many mails have been learned of each kind."""

    spam: int
    ham: int

    @property
    def is_enough(self) -> bool:
        return self.spam >= ENOUGH and self.ham >= ENOUGH


@dataclass(frozen=True, slots=True)
class Score:
    """0 is certainly no spam, 1 certainly spam. `because`: the clues that spoke loudest for it, each with its share."""

    value: float
    because: tuple[tuple[str, float], ...] = ()


def score(counts: Mapping[str, tuple[int, int]], learned: Learned) -> Score | None:
    """The score of a mail whose known clues were each in so many mails, (spam, ham); None with too few learned."""
    if not learned.is_enough:
        return None
    shares = {clue: _share(spam, ham, learned) for clue, (spam, ham) in counts.items()}
    telling = [(clue, share) for clue, share in shares.items() if abs(share - UNKNOWN) >= SILENT]
    telling.sort(key=lambda one: (-abs(one[1] - UNKNOWN), one[0]))
    used = telling[:STRONGEST]
    if not used:
        return Score(UNKNOWN)
    spam_likely = _fisher([1.0 - share for _clue, share in used])
    ham_likely = _fisher([share for _clue, share in used])
    against = sorted((one for one in used if one[1] > UNKNOWN), key=lambda one: -one[1])
    return Score((1.0 + spam_likely - ham_likely) / 2.0, tuple(against[:TOLD]))


def _share(spam: int, ham: int, learned: Learned) -> float:
    """f(w): the clue's share of spam, as if as many of each kind had been learned."""
    spam_rate, ham_rate = spam / learned.spam, ham / learned.ham
    if not spam_rate + ham_rate:
        return UNKNOWN
    share, seen = spam_rate / (spam_rate + ham_rate), spam + ham
    return (PRIOR_STRENGTH * UNKNOWN + seen * share) / (PRIOR_STRENGTH + seen)


def _fisher(shares: list[float]) -> float:
    """1 - chi²'s tail: near 1 where the shares are smaller than chance would have them."""
    return 1.0 - _chi2_tail(-2.0 * sum(math.log(share) for share in shares), 2 * len(shares))


def _chi2_tail(chi2: float, degrees: int) -> float:
    """P(X >= chi2) for an even number of degrees of freedom, summed in logarithms: e^-m underflows for a long mail."""
    m = chi2 / 2.0
    if m <= 0.0:
        return 1.0
    log_m = math.log(m)
    terms = [-m + n * log_m - math.lgamma(n + 1) for n in range(degrees // 2)]
    top = max(terms)
    return min(1.0, math.exp(top) * sum(math.exp(term - top) for term in terms))
