"""The codes of currencies (ISO 4217) and of countries (ISO 3166-1 alpha-2)."""

from iso4217 import Currency
from phonenumbers import SUPPORTED_REGIONS

CURRENCIES = frozenset(currency.code for currency in Currency)
# Nobody can be called there, but letters arrive.
REGIONS = frozenset(SUPPORTED_REGIONS) | {"AQ", "BV", "GS", "HM", "PN", "TF", "UM"}


def decimals_of(currency: str) -> int:
    """How many decimals a currency has; those without minor units, such as gold, have eight."""
    exponent = Currency(currency).exponent
    return 8 if exponent is None else exponent
