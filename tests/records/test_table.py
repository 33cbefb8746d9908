"""One table in three forms."""

from html.parser import HTMLParser

from lossviz.records.table import Column, Table


class Cells(HTMLParser):
    """The texts of a table's cells with their elements, a list per row."""

    def __init__(self):
        super().__init__()
        self.rows, self.kind = [], ""

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        self.kind = tag

    def handle_data(self, data):
        self.rows[-1].append((self.kind, data))


def cells_of(table):
    parser = Cells()
    parser.feed(table.to_html())
    return parser.rows


MIXED = Table(
    {"name": Column("name"), "loss": Column("loss", "{:.2f}".format, number=True)},
    [{"name": "<a>", "loss": 12.5, "more": [1]}, {"name": "long & b", "loss": None}],
)


def test_every_form_has_the_same_cells_and_json_the_values_themselves():
    assert MIXED.to_lines() == ["name       loss", "<a>       12.50", "long & b      –"]
    assert cells_of(MIXED) == [
        [("th", "name"), ("th", "loss")],
        [("td", "<a>"), ("td", MIXED.cells()[0][1])],
        [("td", "long & b"), ("td", "–")],
    ]
    assert MIXED.to_json() == [{"name": "<a>", "loss": 12.5, "more": [1]}, {"name": "long & b", "loss": None}]


def test_pairs_have_no_heading_and_name_their_rows():
    pairs = Table.pairs({"grid": "3 × 5", "digest": "ab"})
    assert pairs.to_lines() == ["grid    3 × 5", "digest  ab"]
    assert cells_of(pairs) == [[("th", "grid"), ("td", "3 × 5")], [("th", "digest"), ("td", "ab")]]


def test_a_table_without_rows_is_its_heading_or_nothing():
    assert Table.of(("a", "b"), []).to_text() == "a  b" and Table.pairs({}).to_lines() == []
