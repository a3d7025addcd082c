"""params.yaml: the whole file is checked, and a fault is named with its key and what would be right."""

import copy

import pytest
import yaml
from paths import REPOSITORY

from gan3d.config.loading import load_params, override_section
from gan3d.config.schema import Data
from gan3d.errors import UserError

FILE = REPOSITORY / "params.yaml"


@pytest.fixture
def tree():
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def load(tree, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return load_params(path)


def test_the_repositorys_own_file_is_right():
    loaded = load_params(FILE)
    assert loaded.final == "r16"
    assert loaded.widths("r16") == (64, 32, 16)


def test_a_recipe_takes_every_value_from_the_file(tree, tmp_path):
    changed = copy.deepcopy(tree)
    changed["seed"] = 7
    gan = {"loss": "bce_gated", "gamma": 0.25, "penalty_every": 3, "gate": [0.1, 0.7], "mirror": "z"}
    changed["gan"] |= gan | {"beta_1": 0.5, "beta_2": 0.9, "ema": 0.3}
    changed["gan"] |= {"augment": 0.25, "ada_target": 0.5, "ada_images": 999, "noise": 0.3}
    changed["train"]["stages"]["r08"] |= {"batch": 5, "lr_g": 0.1, "lr_d": 0.2, "fade_in": 11, "stabilise": 13}
    before, after = load_params(FILE).recipe("r08"), load(changed, tmp_path).recipe("r08")
    same = [name for name in before.__dataclass_fields__ if getattr(before, name) == getattr(after, name)]
    assert same == []
    assert (after.mirror, after.images, after.gate) == ("z", 24, (0.1, 0.7))


def test_a_stages_own_gamma_wins(tree, tmp_path):
    tree["train"]["stages"]["r08"]["gamma"] = 0.125
    loaded = load(tree, tmp_path)
    assert (loaded.recipe("r08").gamma, loaded.recipe("r16").gamma) == (0.125, tree["gan"]["gamma"])


def test_no_mirror(tree, tmp_path):
    tree["gan"]["mirror"] = "none"
    assert load(tree, tmp_path).recipe("r04").mirror == "none"


def test_a_stage_from_scratch_names_all_its_widths(tree, tmp_path):
    stages = tree["train"]["stages"]
    stages["r16"] |= {"prev": "scratch", "width": [12, 10, 8]}
    loaded = load(tree, tmp_path)
    assert loaded.widths("r16") == (12, 10, 8)
    assert loaded.train.chain("r16") == ["r16"]


def test_a_stage_may_grow_by_two_resolutions(tree, tmp_path):
    tree["train"]["stages"]["r16"] |= {"prev": "r04", "width": [10, 8]}
    assert load(tree, tmp_path).widths("r16") == (64, 10, 8)


def change(*keys, value):
    def apply(tree):
        for key in keys[:-1]:
            tree = tree[key]
        if value is ...:
            del tree[keys[-1]]
        else:
            tree[keys[-1]] = value

    return apply


R16 = ("train", "stages", "r16")


@pytest.mark.parametrize(
    ("fault", "named", "right"),
    [
        (change("gan", "gama", value=1), "gan.gama", "gamma"),
        (change("sed", value=1), "sed", "seed"),
        (change(*R16, "lr", value=1), "train.stages.r16.lr", "lr_g"),
        (change("seed", value=...), "seed", "missing"),
        (change("gan", "conditional", value="some"), "gan.conditional", "boolean"),
        (change("gan", "loss", value="wgan"), "gan.loss", "wgan_gp"),
        (change("gan", "gate", value=[0.5]), "gan.gate.1", "missing"),
        (change("gan", "mirror", value="w"), "gan.mirror", "'x', 'y', 'z', 'none' or 'measured'"),
        (change("data", "resolution", value=17), "data.resolution", "16, 32"),
        (change("data", "up", value=1), "data.up", "'y'"),
        (change("data", "resolution", value=8), "data.resolution", "16"),
        (change("data", "test", value=0.95), "data.test", "below 1"),
        (change("train", "backend", value="torch"), "train.backend", "'tensorflow' or 'jax'"),
        (change("train", "stages", "r17", value={}), "train.stages", "r16, r32"),
        (change("train", "stages", value={}), "train.stages", "at least one stage"),
        (change(*R16, "prev", value="r32"), "r16.prev", "scratch, r04, r08"),
        (change(*R16, "prev", value="r16"), "r16.prev", "scratch, r04, r08"),
        (change(*R16, "width", value=[16, 8]), "r16.width", "one for each"),
        (change(*R16, "width", value="wide"), "train.stages.r16.width", "integer"),
        (change(*R16, "lr_g", value=-1), "train.stages.r16.lr_g", "greater than 0"),
        (change(*R16, "batch", value=0), "train.stages.r16.batch", "greater than 0"),
        (change(*R16, "batch", value=2.5), "train.stages.r16.batch", "integer"),
        (change("name", value="a/b"), "name", "begin with a letter or digit"),
        (change("name", value="a" * 101), "name", "at most 100"),
        (change("name", value=None), "name", "an empty value is invalid"),
        (change("data", "sha256", value="12"), "data.sha256", "64 hexadecimal digits"),
        (change("data", "classes", value="chair"), "data.classes", "'all' or Input should be a valid tuple"),
        (change("data", "classes", value=[]), "data.classes", "each class once, or write all"),
        (change("data", "classes", value=["chair", "chair"]), "data.classes", "each class once"),
        (change("data", "labels", value={"a": 1}), "data.labels: {'a': 1}", "string"),
        (change("data", "timeout", value=float("inf")), "data.timeout", "finite"),
        (change("gan", "gamma", value=float("inf")), "gan.gamma", "finite"),
        (change("gan", "gate", value=[0.9, 0.1]), "gan.gate", "swap them"),
        (change("tune", "space", "lr_g", value={"low": 1, "high": 0}), "tune.space.lr_g: low 1", "swap"),
        (change("tune", "space", "lr_g", value={"low": 0, "high": 1, "log": True}), "tune.space.lr_g: low 0", "log"),
        (change("promote", "margin", value="some"), "promote.margin", "number"),
    ],
)
def test_a_fault_is_one_sentence_with_its_key_and_what_is_right(tree, tmp_path, fault, named, right):
    fault(tree)
    with pytest.raises(UserError) as caught:
        load(tree, tmp_path)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "params.yaml"))
    assert named in message
    assert right in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("section", "wrong", "right"),
    [
        (R16, "lrg", "lr_g"),
        (R16, "LR_D", "lr_d"),
        (R16, "stabilize", "stabilise"),
        (("gan",), "penalty-every", "penalty_every"),
        (("data",), "resolutoin", "resolution"),
        (("train",), "backends", "backend"),
        (("tune",), "trails", "trials"),
        ((), "seeds", "seed"),
    ],
)
def test_a_misspelt_key_is_named_before_the_one_it_misses(tree, tmp_path, section, wrong, right):
    inner = tree
    for key in section:
        inner = inner[key]
    inner[wrong] = inner.pop(right)
    with pytest.raises(UserError) as caught:
        load(tree, tmp_path)
    where = ".".join((*section, wrong))
    assert f"{where} is not a known key; did you mean {right}?" in str(caught.value)


@pytest.mark.parametrize("text", ["", "- 1\n- 2\n", "a: [1", "\t:"])
def test_what_is_no_parameter_file(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"params\.yaml"):
        load_params(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="missing"):
        load_params(tmp_path / "params.yaml")


def test_options_replace_values_of_a_section():
    data = override_section(Data(), {"resolution": 8, "source": "here"})
    assert (data.resolution, data.source, data.up) == (8, "here", "y")
    with pytest.raises(UserError, match="--up 'w' is invalid"):
        override_section(Data(), {"up": "w"})


OLD = {
    "logging:": "track:",
    "  metrics_every:": "  log:",
    "  samples_every:": "  picture:",
    "  checkpoint_every:": "  checkpoint:",
    "  samples_per_class:": "  pictured:",
    "  timeout:": "  seconds:",
    "  memory_limit:": "  memory:",
}


def test_old_keys_are_read_and_their_new_names_are_told(tmp_path, caplog):
    text = FILE.read_text(encoding="utf-8")
    for new, old in OLD.items():
        assert text.count(new) == 1, new
        text = text.replace(new, old)
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    assert load_params(tmp_path / "params.yaml") == load_params(FILE)
    assert "track.picture is now logging.samples_every" in caplog.text
    assert "data.memory is now data.memory_limit" in caplog.text


def test_an_old_key_beside_its_new_name_does_not_override_it(tmp_path):
    text = FILE.read_text(encoding="utf-8").replace("logging:", "track:\n  log: 1\nlogging:")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    assert load_params(tmp_path / "params.yaml") == load_params(FILE)


def test_every_shared_field_of_the_recipe_comes_from_the_parameters():
    loaded = load_params(FILE)
    for stage in loaded.train.stages:
        recipe, own = loaded.recipe(stage), loaded.train.stages[stage]
        for name in recipe.__dataclass_fields__:
            source = own if name in type(own).model_fields and getattr(own, name) is not None else loaded.gan
            assert getattr(recipe, name) == (loaded.seed if name == "seed" else getattr(source, name)), name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\nname: b\n", "the key name occurs twice"),
        ("gan:\n  gamma: 1\n  gamma: 2\n", "the key gamma occurs twice"),
        (f"a: {'[' * 5000}", "nested too deeply"),
        (f"seed: {'9' * 5000}", "not valid YAML"),
        ("a: [", "not valid YAML"),
        ("a: \0", "not valid YAML"),
        ("- 1", "holds no keys"),
    ],
)
def test_text_that_is_no_tree_of_keys_is_one_sentence(tmp_path, text, words):
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=words) as caught:
        load_params(path)
    assert "\n" not in str(caught.value)
