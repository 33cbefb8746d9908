"""Models of transformers read from a local folder by two words: the centre is the library's own loss."""

import warnings

import pytest
import torch

from lossviz.errors import CheckpointError
from lossviz.problem.load import load_problem
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.run.compute import compute

TEXT = "A slice that looks convex proves nothing. " * 30


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = pytest.importorskip("transformers", reason="transformers is not installed")
    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    small = {"vocab_size": 256, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
             "num_attention_heads": 2}  # fmt: skip
    library.LlamaForCausalLM(library.LlamaConfig(**small, tie_word_embeddings=True)).save_pretrained(root / "llama")
    library.BertForMaskedLM(library.BertConfig(**small)).save_pretrained(root / "bert")
    library.BertModel(library.BertConfig(**small)).save_pretrained(root / "bare")
    (root / "text.txt").write_text(TEXT)
    return root


def ref_of(folders, name, kind, **words):
    return resolve_problem(None, model=f"transformers:{kind}", data=f"text:{folders / 'text.txt'}", model_args={},
                           checkpoint=folders / name, data_args={"block": 32}, **words)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind", "loss"), [("llama", "AutoModelForCausalLM", None), ("bert", "AutoModelForMaskedLM", "masked-lm")]
)
def test_the_centre_is_the_librarys_own_loss(folders, tmp_path, name, kind, loss):
    import transformers

    ref = ref_of(folders, name, kind, loss=loss)
    report = compute(Plan(ref, PlaneSpec(), Grid.parse("-1:1:3,-1:1:2")), tmp_path / "net.h5")
    model = getattr(transformers, kind).from_pretrained(folders / name).eval()
    tokens = torch.tensor(list(TEXT.encode()))[: len(TEXT) // 32 * 32].reshape(-1, 32)
    with torch.no_grad():
        own = model(input_ids=tokens, labels=tokens).loss.item()
    assert report.surface.facts["origin"]["train_loss"] == pytest.approx(own, rel=1e-6)
    assert report.surface.facts["notes"][0].startswith("Read by from_pretrained")


def test_parameters_that_would_be_random_are_refused_by_name(folders):
    load = {"splits": ["train"], "samples": None, "seed": 0, "device": torch.device("cpu"), "dtype": torch.float32}
    with pytest.raises(CheckpointError, match=r"lacks \d parameters of the model, which would be random: cls"):
        load_problem(ref_of(folders, "bare", "BertForMaskedLM", loss="masked-lm"), **load)
    kept = load_problem(ref_of(folders, "bare", "BertForMaskedLM", loss="masked-lm", skip=["cls*"]), **load)
    assert kept.params


def test_the_configuration_is_part_of_the_plan(folders):
    before = ref_of(folders, "bare", "BertModel", loss="mse")
    config = folders / "bare" / "config.json"
    config.write_text(config.read_text().replace("}", " }"))
    assert ref_of(folders, "bare", "BertModel", loss="mse").model_content != before.model_content


def test_a_class_without_a_folder_says_what_to_pass(folders, tmp_path):
    load = {"splits": ["train"], "samples": None, "seed": 0, "device": torch.device("cpu"), "dtype": torch.float32}
    (tmp_path / "model.safetensors").write_bytes((folders / "llama" / "model.safetensors").read_bytes())
    for checkpoint, words in ((None, "none is named"), (tmp_path, "there is no config.json")):
        ref = resolve_problem(None, model="transformers:AutoModelForCausalLM", data=f"text:{folders / 'text.txt'}",
                              model_args={}, checkpoint=checkpoint)  # fmt: skip
        with pytest.raises(CheckpointError, match=words):
            load_problem(ref, **load)
