"""A judged model goes to the hub (a real server on 127.0.0.1) and comes back the same."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery_core.cli.main import main
from distillery_core.errors import CheckFailed, GateClosed, UserError
from distillery_core.filters import Filter, resolve_filter
from distillery_core.filters.config import TextConfig
from distillery_core.filters.text_view import text_view
from distillery_core.stages import evaluate, gates, promote, train
from distillery_core.stages.project import Project
from distillery_core.stages.publish import Bundle, Published, PublishWish, bundle, publish
from distillery_core.types import Article
from tests.stages.fake_hub import READ_ONLY, TOKEN, FakeHub, Repo, fake_hub

# huggingface_hub hands the bytes of an upload to httpx2 in a way that it has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

NAME = "ana/crisis-v1"
WISH = PublishWish(NAME, private=True, license="apache-2.0")


def crisis(project: Project) -> Filter:
    return resolve_filter("crisis", project.root)


@pytest.fixture(scope="module")
def approved_once(tmp_path_factory: pytest.TempPathFactory, judged_once: Path) -> Path:
    root = tmp_path_factory.mktemp("approved") / "project"
    shutil.copytree(judged_once, root)
    project = Project(root)
    gates.approve(project, crisis(project), report="evaluation", who="Ada", why="for a test")
    return root


@pytest.fixture
def approved(copied: Callable[[Path], Project], approved_once: Path) -> Project:
    return copied(approved_once)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """The hub that this process publishes to; its own caches and tokens are out of reach."""
    from huggingface_hub import constants

    with fake_hub() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(constants, "ENDPOINT", found.address)
        template = f"{found.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield found


def sent(project: Project, wish: PublishWish = WISH) -> Published:
    return publish(project, wish, bundle(project, crisis(project), wish))


def test_a_model_is_published_and_read_back(approved: Project, hub: FakeHub) -> None:
    done = sent(approved)
    repo = hub.repos[NAME]
    assert (done.url, done.private, repo.private) == (f"{hub.address}/{NAME}", True, True)
    assert done.revision == repo.revision() and done.largest_difference <= 1e-4
    model = approved.home(crisis(approved)) / "model"
    for path in ("model.safetensors", "config.json", "tokenizer.json", "distillery.json"):
        assert repo.files[path] == (model / path).read_bytes()
    assert set(done.files) == set(repo.files) - {".gitattributes"}
    assert not any((approved.root / ".distillery").glob("publish-*"))


def test_the_card_has_the_hubs_metadata_and_the_records_numbers(
    approved: Project, hub: FakeHub
) -> None:
    from huggingface_hub import ModelCard

    sent(approved)
    text = hub.repos[NAME].files["README.md"].decode()
    card = ModelCard(text)
    home = approved.home(crisis(approved))
    record = json.loads((home / "model_evaluation.json").read_text(encoding="utf-8"))
    metadata = json.loads((home / "training_metadata.json").read_text(encoding="utf-8"))
    measured = {one.metric_name: one.metric_value for one in card.data.eval_results}
    assert measured["Test MAE"] == round(record["shown"]["rivals"][0]["mae"], 4)
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "transformers")
    assert "base_model" not in yaml.safe_load(text.split("---\n")[1])  # a local folder
    [labeller] = metadata["labelled_by"]
    assert labeller["oracle"] and f"labelled by {labeller['oracle']}" in text
    for key in ("dataset_sha256", "prompt_sha256", "model_sha256"):
        assert metadata["hashes"][key] in text
    assert "approved by a person" in text and "Ada" not in text
    titles = record["shown"]["points"]["titles"]
    assert titles and not [title for title in titles if title in text]


@pytest.mark.parametrize(
    ("labelled_by", "told", "in_words"),
    [
        (
            [{"oracle": "who-really", "rows": 350}],
            "who-really",
            'from the scores of the oracle "who-really" and imitates them',
        ),
        (
            [{"oracle": "one", "rows": 300}, {"oracle": "two", "rows": 50}],
            "one (300 labels), two (50 labels)",
            "of several oracles: one (300 labels), two (50 labels); it imitates them",
        ),
        (
            None,
            "an oracle that is not recorded",
            "of an oracle whose name is not recorded, and imitates them",
        ),
    ],
)
def test_the_card_names_who_labelled_and_not_the_filters_oracle(
    approved: Project, labelled_by: Any, told: str, in_words: str
) -> None:
    path = approved.home(crisis(approved)) / "training_metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata.pop("labelled_by")
    metadata |= {} if labelled_by is None else {"labelled_by": labelled_by}
    path.write_text(json.dumps(metadata), encoding="utf-8")
    card = bundle(approved, crisis(approved), WISH).card
    assert f"labelled by {told}" in card and in_words in card
    assert f"labelled by {crisis(approved).config.oracle.name}" not in card


def test_the_cards_snippet_scores_as_distillery_does(
    approved: Project,
    hub: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from distillery_core.student.predict import load_model, predict

    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)

    sent(approved)
    text = hub.repos[NAME].files["README.md"].decode()
    [snippet] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(snippet, names)
    names["tokenizer"].model_max_length = 64  # as most bases have one; it warns of longer texts
    articles = [
        Article("1", "Flood in the town", "People left their houses. " * 3),
        Article("2", "", "Strike at the port"),
        Article("3", "Long", "Rain fell and the river rose over its banks. " * 40),
        Article(
            "4", "  Cafe\u0301\nclosed ", "It\x07 was late.\r\nNobody came.\rSo it closed. \n\n"
        ),
    ]
    student = load_model(approved.home(crisis(approved)) / "model", "cpu")
    for article, row in zip(articles, predict(student, articles).values, strict=True):
        found = names["score"](article.title, article.content)
        assert list(found) == list(student.dimensions)
        assert list(found.values()) == pytest.approx(row.tolist(), abs=1e-4)
        assert "longer than the specified maximum" not in caplog.text
        # A decoder's last token would tell a trailing space; this base reads the first.
        view = text_view(article.title, article.content, TextConfig())
        cleaned = names["clean"](article.title).replace("\n", " "), names["clean"](article.content)
        assert cleaned == (view.title, view.content)


def test_a_head_of_our_own_is_refused_before_the_hub_is_asked(
    approved: Project, judged_once: Path, hub: FakeHub
) -> None:
    overrides = {
        "method": "frozen", "frozen_head": "mlp", "max_length": 64, "threads": 1,
        "model_name": str(judged_once.parent / "base"),
    }  # fmt: skip
    train.train(approved, crisis(approved), overrides=overrides, mlflow=False)
    evaluate.evaluate(approved, crisis(approved), mlflow=False)
    gates.approve(approved, crisis(approved), report="evaluation", who="Ada", why="for a test")
    with pytest.raises(CheckFailed, match="predicts differently with plain transformers") as caught:
        bundle(approved, crisis(approved), WISH)
    assert "--frozen-head ridge" in str(caught.value.hint)
    assert hub.seen == []
    told = (approved.home(crisis(approved)) / "model" / "README.md").read_text(encoding="utf-8")
    assert "It loads with plain transformers" not in told and "head.safetensors" in told


def test_a_calibrated_model_is_scored_calibrated_by_the_snippet(
    approved: Project, hub: FakeHub
) -> None:
    from distillery_core.reports.hub_card import Card, Licence, Reading, usage

    reading = Reading(64, 4000, 0.75, (1,), (2,), True)
    card = Card(NAME, crisis(approved), Licence("mit"), reading, "x", {}, None, None, False)
    text = usage(card)
    compile(text, "snippet", "exec")
    assert 'hf_hub_download(REPO, "score_calibration.json")' in text and "np.interp" in text


def test_an_unapproved_model_is_refused_before_the_hub_is_asked(
    judged: Project, hub: FakeHub
) -> None:
    with pytest.raises(GateClosed, match="publishing crisis:v1: the gate is closed"):
        bundle(judged, crisis(judged), WISH)
    assert hub.seen == []


def test_other_bytes_than_the_judged_ones_are_refused(approved: Project) -> None:
    path = approved.home(crisis(approved)) / "model" / "config.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(GateClosed):
        bundle(approved, crisis(approved), WISH)


def test_a_promoted_model_goes_out_when_its_report_is_gone(approved: Project) -> None:
    promote.promote(approved, crisis(approved), who="Ada", mlflow=False)
    (approved.home(crisis(approved)) / "model_evaluation.md").unlink()
    found = bundle(approved, crisis(approved), WISH)
    assert "Not told here: the model has not been evaluated" in found.card
    assert "model-index" not in found.card
    assert any("tells no test results" in line for line in found.notes)


def test_public_is_made_so_only_after_it_was_read_back(approved: Project, hub: FakeHub) -> None:
    done = sent(approved, PublishWish(NAME, private=False, license="mit"))
    assert not done.private and not hub.repos[NAME].private
    assert hub.seen[-1] == f"PUT /api/models/{NAME}/settings"
    hub.repos.clear()
    hub.spoil["config.json"] = b"{}"
    with pytest.raises(CheckFailed):
        sent(approved, PublishWish(NAME, private=False, license="mit"))
    assert hub.repos[NAME].private


def test_what_comes_back_spoiled_is_noticed(approved: Project, hub: FakeHub) -> None:
    weights = approved.home(crisis(approved)) / "model" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    hub.spoil["model.safetensors"] = bytes(data)
    with pytest.raises(CheckFailed, match="does not give back the model") as refused:
        sent(approved)
    assert refused.value.reasons == ("model.safetensors: other bytes than were sent",)


def test_a_later_version_takes_the_place_of_an_earlier(approved: Project, hub: FakeHub) -> None:
    sent(approved)
    hub.repos[NAME].files["model-00002-of-00002.safetensors"] = b"old shard"
    hub.repos[NAME].files["picture.png"] = b"kept"
    again = sent(approved, PublishWish(NAME, license="mit"))
    files = hub.repos[NAME].files
    assert again.private and "picture.png" in files
    assert "model-00002-of-00002.safetensors" not in files
    assert b"license: mit" in files["README.md"]


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({"config.json": b"{}"}, "the name is taken"),
        ({"distillery.json": b"no json"}, "the name is taken"),
        ({"distillery.json": b'{"filter_name": "uplifting"}'}, "it is no model of crisis"),
    ],
)
def test_another_models_repository_is_never_written_over(
    approved: Project, hub: FakeHub, there: dict[str, bytes], said: str
) -> None:
    hub.repos[NAME] = Repo(True, [there])
    with pytest.raises(UserError, match=said):
        sent(approved)
    assert hub.repos[NAME].commits == [there]


def test_a_private_wish_is_not_put_into_a_public_repository(
    approved: Project, hub: FakeHub
) -> None:
    hub.repos[NAME] = Repo(private=False)
    with pytest.raises(UserError, match="the repository is public and --private was wished"):
        sent(approved)
    assert len(hub.repos[NAME].commits) == 1


@pytest.mark.parametrize(
    ("token", "name", "said"),
    [
        ("hf_wrong", NAME, "the hub does not accept the token"),
        (READ_ONLY, NAME, "this token may not write here"),
        (TOKEN, "somebody/else", "this token may not write here"),
        ("", NAME, "there is no token for the hub"),
    ],
)
def test_what_the_hub_refuses_is_told_without_the_token(
    approved: Project,
    hub: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    name: str,
    said: str,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UserError, match=said) as refused:
        sent(approved, PublishWish(name, license="mit"))
    assert not token or token not in str(refused.value)
    assert hub.repos == {}


def test_a_hub_that_cannot_be_reached_is_told(
    approved: Project, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="did not work"):
        sent(approved)


@pytest.mark.parametrize("is_new", [True, False])
def test_a_hub_without_xet_is_told_with_what_is_left_there(
    approved: Project, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    from huggingface_hub import constants

    pytest.importorskip("hf_xet")
    if not is_new:
        hub.repos[NAME] = Repo(private=True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    with pytest.raises(UserError, match="xet-write-token") as refused:
        sent(approved)
    hint = str(refused.value.hint)
    assert "HF_HUB_DISABLE_XET=1" in hint
    assert ("the new repository is there, private and empty" in hint) is is_new
    assert hub.repos[NAME].private and set(hub.repos[NAME].files) == {".gitattributes"}
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    assert sent(approved).private


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (PublishWish(NAME), "under which licence"),
        (PublishWish(NAME, license="Apache 2"), "is no licence"),
        (PublishWish(NAME, license="other"), "has a name and a link"),
        (PublishWish("crisis", license="mit"), "is no repository"),
        (PublishWish("a/b/c", license="mit"), "is no repository"),
        (PublishWish('a/b"\nimport os', license="mit"), "is no repository"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(approved: Project, wish: PublishWish, said: str) -> None:
    with pytest.raises(UserError, match=said):
        bundle(approved, crisis(approved), wish)


def test_the_filters_own_licence_is_taken(approved: Project) -> None:
    config = approved.home(crisis(approved)) / "config.yaml"
    text = config.read_text(encoding="utf-8") + "\npublish: {license: cc-by-4.0}\n"
    config.write_text(text, encoding="utf-8")
    found: Bundle = bundle(approved, crisis(approved), PublishWish(NAME))
    assert "license: cc-by-4.0\n" in found.card


def test_the_verb(
    approved: Project,
    hub: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(approved.root)
    command = ["publish", "--filter", "crisis", "--repo-name", NAME, "--license", "mit"]
    assert main([*command, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert hub.seen == [] and told["card"].startswith("---\nlicense: mit\n")
    assert main([*command, "--private"]) == 0
    found = capsys.readouterr()
    assert found.out.startswith(f"{hub.address}/{NAME} (private), commit ")
    assert "read back: " in found.err and TOKEN not in found.err
    assert main([*command, "--dry-run"]) == 0
    assert "model.safetensors" in capsys.readouterr().out
