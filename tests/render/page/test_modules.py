"""The page's modules, joined to one script."""

from importlib import resources

import pytest

from lossviz.render.page.modules import IMPORT, join_modules

LIVE = resources.files("lossviz.render.page") / "live"


def test_a_module_stands_once_and_after_what_it_imports():
    sources = {
        "main": 'import { a } from "./left.js";\nimport {\n  b,\n} from "./right.js";\nrun(a, b);\n',
        "left": 'import { c } from "./base.js";\nexport const a = c;\n',
        "right": 'import { c } from "./base.js";\nexport async function b() {}\n',
        "base": 'import { a } from "./left.js";\nexport const c = () => a;\n',  # in a circle
    }
    joined = join_modules(sources.__getitem__, "main")
    assert joined == "const c = () => a;\nconst a = c;\nasync function b() {}\nrun(a, b);\n"


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ({"main": 'import { a } from "./b.js";\nconst c = 1;\n', "b": "let c = 2;\n"}, "c is declared in b.js"),
        ({"main": 'import * as all from "./b.js";\n', "b": ""}, "main.js: "),
        ({"main": "export default 3;\n"}, "export default"),
    ],
)
def test_what_cannot_be_joined_is_named(sources, words):
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        join_modules(sources.__getitem__, "main")


def test_every_file_of_the_page_is_reached_from_its_start():
    sources = {path.name.removesuffix(".js"): path.read_text(encoding="utf-8") for path in LIVE.iterdir()}
    reached, open_ = {"main"}, ["main"]
    while open_:
        for name in set(IMPORT.findall(sources[open_.pop()])) - reached:
            reached.add(name)
            open_.append(name)
    assert reached == set(sources)
    joined = join_modules(sources.__getitem__, "main")
    assert joined.count("function start(") == 1 and joined.rstrip().endswith("}")
