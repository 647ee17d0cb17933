"""Where a project's ZenML store lies, and that it is created once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from distillery_core.errors import UserError
from distillery_core.pipelines.environment import STORE_FOLDER, prepare_environment


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ZENML_CONFIG_PATH", "ZENML_STORE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_the_store_lies_in_the_project_and_may_move_with_it(
    zenml_store: Path, nothing_set: None, tmp_path: Path
) -> None:
    shutil.copytree(zenml_store, tmp_path / STORE_FOLDER)
    assert prepare_environment(tmp_path) == tmp_path / STORE_FOLDER
    assert os.environ["ZENML_CONFIG_PATH"] == str(tmp_path / STORE_FOLDER)
    text = (tmp_path / STORE_FOLDER / "config.yaml").read_text(encoding="utf-8")
    assert str(tmp_path) in text and str(zenml_store) not in text
    from zenml.client import Client

    assert Client().zen_store.url.endswith(
        f"{tmp_path}/{STORE_FOLDER}/local_stores/default_zen_store/zenml.db"
    )


def test_a_store_that_the_user_names_is_left_alone(
    nothing_set: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZENML_STORE_URL", "sqlite:////somewhere/else.db")
    assert prepare_environment(tmp_path) is None
    assert "ZENML_CONFIG_PATH" not in os.environ and not (tmp_path / ".distillery").exists()


def test_a_place_that_cannot_be_written_is_an_error_to_mend(
    nothing_set: None, tmp_path: Path
) -> None:
    (tmp_path / ".distillery").write_text("a file", encoding="utf-8")
    with pytest.raises(UserError, match="ZENML_CONFIG_PATH"):
        prepare_environment(tmp_path)


@pytest.mark.slow
def test_two_processes_on_a_fresh_store(nothing_set: None, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from distillery_core.pipelines.environment import prepare_environment as prepare;"
        "prepare(Path(sys.argv[1]));"
        "from zenml.client import Client; print(Client().active_stack_model.name)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    ended = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert [out for out, _ in ended] == ["default\n", "default\n"]


def test_our_warnings_are_told_under_zenml_and_on_stderr(tmp_path: Path) -> None:
    """It silences the root logger, and prints what is let through on stdout."""
    code = (
        "import logging, sys; from pathlib import Path;"
        "from distillery_core.pipelines.environment import prepare_environment as prepare;"
        "prepare(Path(sys.argv[1])); prepare(Path(sys.argv[1])); import zenml.logger as zenml;"
        "zenml.init_logging(); logging.getLogger('other').error('not told');"
        "logging.getLogger('distillery_core.tracking').warning('a record is lost')"
    )
    variables = {**os.environ, "ZENML_STORE_URL": f"sqlite:///{tmp_path}/none.db"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True, text=True, env=variables, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("", "a record is lost\n")
