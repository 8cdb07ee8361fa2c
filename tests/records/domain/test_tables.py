"""Tables that people bring, in the encodings that spreadsheets write."""

import io

import pytest

from services.records.domain.tables import open_table

LISTS = {
    "windows-1252": (
        "größe;name\n",
        "name;straße\nMüller;Hauptstraße 5\n",
        "prénom;ville\nRené;Orléans\nZoë;Nîmes\n",
        "nombre;año\nPeña;2020\nGarcía;2021\n",
        "navn;by\nSøren;Ærø\nÅse;Tromsø\n",
        "nome;cidade\nJoão;São Paulo\n",
        "name;price\nTea;5€\n",
    ),
    "windows-1250": ("imię;miasto\nŁukasz;Gdańsk\n", "jméno;město\nJiří;Plzeň\nŽofie;Děčín\n"),
    "windows-1251": ("имя;город\nИван;Москва\n",),
    "windows-1253": ("όνομα;πόλη\nΓιώργος;Αθήνα\n",),
    "windows-1254": ("isim;şehir\nIşık;İstanbul\nGül;Eskişehir\n",),
    "windows-1255": ("שם;עיר\nדוד;תל אביב\n",),
    "windows-1256": ("اسم;مدينة\nأحمد;القاهرة\n",),
    "cp932": ("名前;都市\n田中;東京\n佐藤;大阪\n",),
    "gb18030": ("姓名;城市\n王伟;北京\n李娜;上海\n",),
    "big5": ("姓名;城市\n王偉;臺北\n",),
    "cp949": ("이름;도시\n김철수;서울\n",),
    "utf-16": ("name;город\nZoë;東京\n",),
    "utf-8-sig": ("name;город\nZoë;東京\n",),
}


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in LISTS.items() for text in texts])
def test_lists_of_spreadsheets_are_read_in_the_encoding_they_are_in(encoding: str, text: str) -> None:
    """A few lines are enough to know it."""
    header, *lines = text.splitlines()
    table = open_table(io.BytesIO(text.encode(encoding)), "csv")
    assert table.columns == tuple(header.split(";"))
    assert [tuple(row.values()) for row in table.rows if isinstance(row, dict)] == [
        tuple(it.split(";")) for it in lines
    ]
