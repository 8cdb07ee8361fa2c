"""Search over everything that the caller may see."""

from typing import Annotated, TypeAlias

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, HeaderParameter
from litestar.response.base import ASGIResponse

from libs.common.app import Platform
from libs.common.ids import parse_id
from libs.common.pages import Count
from services.records.domain.languages import preferred
from services.records.routes.answers import answer, answers
from services.records.routes.records import CALLER
from services.records.usecases.caller import Caller
from services.records.usecases.searching import FoundPage, SearchRequest, find

AcceptLanguage: TypeAlias = Annotated[str | None, HeaderParameter(name="Accept-Language")]
_json = msgspec.json.Encoder()


class SearchController(Controller):
    """Records by their words."""

    path = "/search"
    tags = ("Search",)
    dependencies = CALLER

    @get(responses=answers(FoundPage), operation_id="Search")
    async def search(
        self,
        caller: NamedDependency[Caller],
        platform: NamedDependency[Platform],
        q: FromQuery[str],
        pipeline_id: FromQuery[str | None] = None,
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
        language: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
        accept_language: AcceptLanguage = None,
    ) -> ASGIResponse:
        """Records that have all the words of `q` in fields that may be read, the best first: those with the very words
        before those with words that begin so or are inflections in the language (`language`, by default that of
        `Accept-Language`, then the user's own, then the organization's), and where few are found those whose words
        differ by a slip, or where none are by two.

        Case and accents make no difference. Snippets are HTML: the record's text is escaped, what was found is marked.
        A search for very common words gives the best five hundred or so of each kind; one over all is over the first
        two hundred pipelines. `count` is of what is found so.
        """
        position = str(caller.position(platform.bus))
        where = None if pipeline_id is None else parse_id(pipeline_id)
        spoken = preferred(language or accept_language)
        asked = SearchRequest(
            q=q, pipeline_id=where, limit=limit, cursor=cursor, language=spoken, counted=count != "none"
        )
        page = await find(caller, asked)
        return answer(_json.encode(page), 200, {"change-seq": position})
