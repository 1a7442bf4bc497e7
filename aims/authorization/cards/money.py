"""Amounts as text: checked, and shown with grouping. Never a float. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# ISO 4217: codes whose minor unit is not two digits.
_MINOR = dict.fromkeys(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ],
    0,
) | dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3)
_CODES = frozenset(
    [
        "AED",
        "AFN",
        "ALL",
        "AMD",
        "AOA",
        "ARS",
        "AUD",
        "AWG",
        "AZN",
        "BAM",
        "BBD",
        "BDT",
        "BGN",
        "BHD",
        "BIF",
        "BMD",
        "BND",
        "BOB",
        "BRL",
        "BSD",
        "BTN",
        "BWP",
        "BYN",
        "BZD",
        "CAD",
        "CDF",
        "CHF",
        "CLP",
        "CNY",
        "COP",
        "CRC",
        "CUP",
        "CVE",
        "CZK",
        "DJF",
        "DKK",
        "DOP",
        "DZD",
        "EGP",
        "ERN",
        "ETB",
        "EUR",
        "FJD",
        "FKP",
        "GBP",
        "GEL",
        "GHS",
        "GIP",
        "GMD",
        "GNF",
        "GTQ",
        "GYD",
        "HKD",
        "HNL",
        "HTG",
        "HUF",
        "IDR",
        "ILS",
        "INR",
        "IQD",
        "IRR",
        "ISK",
        "JMD",
        "JOD",
        "JPY",
        "KES",
        "KGS",
        "KHR",
        "KMF",
        "KPW",
        "KRW",
        "KWD",
        "KYD",
        "KZT",
        "LAK",
        "LBP",
        "LKR",
        "LRD",
        "LSL",
        "LYD",
        "MAD",
        "MDL",
        "MGA",
        "MKD",
        "MMK",
        "MNT",
        "MOP",
        "MRU",
        "MUR",
        "MVR",
        "MWK",
        "MXN",
        "MYR",
        "MZN",
        "NAD",
        "NGN",
        "NIO",
        "NOK",
        "NPR",
        "NZD",
        "OMR",
        "PAB",
        "PEN",
        "PGK",
        "PHP",
        "PKR",
        "PLN",
        "PYG",
        "QAR",
        "RON",
        "RSD",
        "RUB",
        "RWF",
        "SAR",
        "SBD",
        "SCR",
        "SDG",
        "SEK",
        "SGD",
        "SHP",
        "SLE",
        "SOS",
        "SRD",
        "SSP",
        "STN",
        "SVC",
        "SYP",
        "SZL",
        "THB",
        "TJS",
        "TMT",
        "TND",
        "TOP",
        "TRY",
        "TTD",
        "TWD",
        "TZS",
        "UAH",
        "UGX",
        "USD",
        "UYI",
        "UYU",
        "UZS",
        "VED",
        "VES",
        "VND",
        "VUV",
        "WST",
        "XAF",
        "XCD",
        "XOF",
        "XPF",
        "YER",
        "ZAR",
        "ZMW",
        "ZWG",
    ]
)
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,14})(?:\.([0-9]{1,3}))?", re.ASCII)


def is_currency(code: str) -> bool:
    """Return whether this is a currency code in use. Spec: ISO 4217."""
    return code in _CODES


def is_amount(text: str, currency: str) -> bool:
    """Return whether this is a plain positive decimal with no more digits than the currency's minor unit has."""
    match = _AMOUNT.fullmatch(text)
    if match is None or not text.strip("0."):
        return False
    return len(match[2] or "") <= _MINOR.get(currency, 2)


def shown(text: str, currency: str) -> str:
    """Return the amount as the card shows it: ``4200`` and EUR give ``4,200.00 EUR``."""
    whole, _, fraction = text.partition(".")
    digits = _MINOR.get(currency, 2)
    tail = "." + fraction.ljust(digits, "0") if digits else ""
    return f"{int(whole):,}{tail} {currency}"


def words_of(budget: Mapping[str, Any]) -> str:
    """Return a budget in words, empty where it limits nothing. budget: of ``aims.authorization.budget.checked``."""
    spans = {"count": "in all", "per_day": "a day", "per_hour": "an hour"}
    counts = [f"{budget[name]:,} times {words}" for name, words in spans.items() if name in budget]
    return ", ".join(counts + [shown(amount, code) for code, amount in budget.get("amounts", {}).items()])


def in_minor_units(text: str, currency: str) -> int:
    """Return the amount in the currency's smallest unit: ``4200`` and EUR give 420000. text: of ``is_amount``."""
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(_MINOR.get(currency, 2), "0"))


def of_minor_units(count: int, currency: str) -> str:
    """Return the amount as text: 420000 and EUR give ``4200.00``."""
    digits = _MINOR.get(currency, 2)
    text = str(count).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}" if digits else text
