"""`similar`, and `read --similar`: the patients of an index whose ECGs are most like this one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest

import cardioloom
import small_cohort
import small_net
from cardioloom.api import similar_each
from cardioloom.app.cli import run
from cardioloom.errors import ModelNotFoundError, PreparationError, SomeFailedError, UsageError
from cardioloom.evaluation.phenotypes import TEN
from cardioloom.models import Model
from cardioloom.models.installed import VARIABLE
from cardioloom.store import Folder
from cardioloom.store.index import Index
from synthetic import ecg, write_exams, write_wfdb

SPLITS = {"train": 5, "test": 3}
RESAMPLED = "resampled from 500 to 100 Hz (polyphase) (for small)."


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed model, a cohort, the index of it, and an index of files."""
    folder = tmp_path_factory.mktemp("similar")
    small_net.model_folder(folder / "cache" / "models" / "small")
    small_net.model_folder(folder / "other", seed=4)
    one = small_net.contract("small-1l", ("I",))
    small_net.model_folder(folder / "one", one)
    cohort = small_cohort.cohort_at(folder / "cohort", splits=SPLITS)
    model = str(folder / "cache" / "models" / "small")
    cardioloom.embed(model, folder / "cohort", folder / "index.parquet")
    write(folder / "query.npz", cohort, 6)
    cardioloom.embed(model, folder / "query.npz", folder / "files.parquet")
    return folder


@pytest.fixture(autouse=True)
def _installed(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(made / "cache"))


def write(path: Path, cohort: Folder, row: int) -> Path:
    record = cohort.cohort(cohort.ecg)[row]
    np.savez(path, signal=record.signal, leads=np.array(record.leads), fs=record.fs)
    return path


def test_the_index_of_a_cohort_holds_patients_and_labels(made: Path):
    table, cohort = pq.read_table(made / "index.parquet"), Folder.at(made / "cohort").cohort()
    facts = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert facts["cardioloom.made_of"] == "simulated patients (phantom/1, population hospital)"
    assert facts["cardioloom.simulated"] == "true"
    assert facts["cardioloom.cohort_fingerprint"] == Folder.at(made / "cohort").facts["fingerprint"]
    assert list(json.loads(facts["cardioloom.labels"])) == list(small_cohort.LABELS)
    assert table["study_id"].to_pylist() == cohort.column("study_id").tolist()
    for name in ("patient_id", "sex", *small_cohort.LABELS):
        assert table[name].to_pylist() == cohort.column(name).tolist()
    np.testing.assert_allclose(table["age"].to_pylist(), cohort.column("age"), rtol=1e-6)
    assert str(table.schema.field("rhythm").type) == "string"
    assert str(table.schema.field("lv_ef").type) == "double"


def test_an_ecg_is_its_own_nearest(made: Path):
    found = cardioloom.similar(made / "query.npz", made / "index.parquet", k=8, all_columns=True)
    cohort = Folder.at(made / "cohort").cohort()
    own = cohort.row(6)
    assert found.made_of == "8 simulated patients (phantom/1, population hospital)"
    assert (found.is_simulated, found.is_exact, found.studies, found.model) == (True, True, 8, "small")
    first = found.nearest[0]
    assert (first.study_id, first.patient_id, first.sex) == (own["study_id"], own["patient_id"], own["sex"])
    assert first.cosine == pytest.approx(1, abs=1e-5)
    assert first.facts == {name: own[name] for name in small_cohort.LABELS}
    assert first.age == pytest.approx(own["age"], abs=0.006)
    assert sorted(one.study_id for one in found.nearest) == sorted(cohort.column("study_id").tolist())
    cosines = [one.cosine for one in found.nearest]
    assert cosines == sorted(cosines, reverse=True)
    (ef,) = found.spreads  # the one of the usual phenotypes that this cohort has
    values = cohort.column("lv_ef")
    assert (ef.name, ef.unit, ef.n_index, sum(ef.counts)) == ("lv_ef", "share", 8, 8)
    assert ef.median == ef.median_index == pytest.approx(np.median(values))
    assert ef.quartiles == pytest.approx(np.percentile(values, (25, 75)))
    fewer = cardioloom.similar(made / "query.npz", made / "index.parquet", k=3, all_columns=True)
    assert fewer.nearest == found.nearest[:3]
    assert fewer.spreads[0].values == ef.values[:3]


def test_the_command_prints_a_table(made: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["similar", str(made / "query.npz"), str(made / "index.parquet"), "-k", "2"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "8 simulated patients (phantom/1, population hospital)" in shown
    assert "Rank Study Cosine Age Sex LVEF %" in shown
    assert Folder.at(made / "cohort").cohort().row(6)["study_id"] in shown
    assert "LV ejection fraction" in shown


def test_json_with_everything(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    call = ["similar", str(made / "query.npz"), str(made / "index.parquet"), "-k", "2", "--json"]
    assert run([*call, "-"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert run([*call, str(tmp_path / "out.json")]) == 0
    assert json.loads((tmp_path / "out.json").read_text()) == said
    cardioloom.similar(made / "query.npz", made / "index.parquet", k=2, json=tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == said
    assert said["schema"] == "cardioloom.similar/1"
    (one,) = said["ecgs"]
    assert one["name"] == "query"
    assert one["index"]["simulated"] is True
    assert one["index"]["search"] == "exact"
    assert [own["rank"] for own in one["patients"]] == [1, 2]
    assert one["index"]["trained_on"] == small_net.contract().card.trained_on
    assert one["recording"] == {"in_index": True, "warnings": [], "notes": [RESAMPLED]}
    assert [set(own) for own in one["patients"]] == [{"rank", "study_id", "cosine", "age", "sex", "facts"}] * 2
    assert [set(own["facts"]) for own in one["patients"]] == [{"lv_ef"}] * 2
    assert all(own["age"] == int(own["age"]) for own in one["patients"])
    capsys.readouterr()
    assert run([*call, "-", "--all-columns"]) == 0
    own = json.loads(capsys.readouterr().out)["ecgs"][0]["patients"][0]
    assert set(own["facts"]) == set(small_cohort.LABELS)
    assert own["patient_id"] == Folder.at(made / "cohort").cohort().row(6)["patient_id"]
    assert one["phenotypes"][0]["name"] == "lv_ef"
    assert one["phenotypes"][0]["n"] == 2


def test_one_split_alone(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "test.parquet"
    assert run(["embed", "small", str(made / "cohort"), str(out), "--split", "test"]) == 0
    cohort = Folder.at(made / "cohort").cohort()
    assert pq.read_table(out)["study_id"].to_pylist() == cohort.split("test").column("study_id").tolist()
    found = cardioloom.similar(made / "query.npz", out)
    assert found.made_of == "3 simulated patients (phantom/1, population hospital, split test)"
    assert len(found.nearest) == 3
    capsys.readouterr()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["{cohort}", "{cohort}", "x.parquet"], "a cohort is embedded alone"),
        (["{cohort}", "{query}", "x.parquet"], "a cohort is embedded alone"),
        (["{cohort}", "x.parquet", "--split", "nothing"], "has the splits train, test, got --split nothing"),
        (["{cohort}", "x.parquet", "--fs", "500", "--unit", "mV"], "states what --fs, --unit would say"),
        (["{query}", "x.parquet", "--split", "test"], "--split takes a part of a cohort, got files"),
    ],
)
def test_bad_calls_of_embed(made: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str):
    places = {"cohort": made / "cohort", "query": made / "query.npz"}
    assert run(["embed", "small", *(word.format(**places) for word in options)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_cohort_goes_on_where_it_was_left(made: Path, tmp_path: Path):
    out = tmp_path / "out.parquet"
    run_once = iter(cardioloom.api.embed_each("small", made / "cohort", out, batch=1))
    for _ in range(3):
        next(run_once)
    run_once.close()
    again = cardioloom.api.embed_each("small", made / "cohort", out, batch=1)
    assert (again.files_done, len(again.files)) == (3, 8)
    assert len(list(again)) == 5
    table, whole = pq.read_table(out), pq.read_table(made / "index.parquet")
    assert table.drop_columns(["embedding"]).equals(whole.drop_columns(["embedding"]))
    other = small_cohort.cohort_at(tmp_path / "other", splits={"train": 2})
    with pytest.raises(UsageError, match="exists"):
        cardioloom.embed("small", other.path, out)


@pytest.mark.parametrize(
    ("places", "options", "message"),
    [
        (("query.npz", "absent.parquet"), [], "does not exist: write one with cardioloom embed"),
        (("query.npz", "cohort"), [], "is a folder, no index"),
        (("query.npz", "query.npz"), [], "cannot be read as Parquet, so it is no index"),
        (("query.npz", "cohort/cohort.parquet"), [], "is no index, it lacks cardioloom.model"),
        (("query.npz", "index.parquet"), ["-k", "0"], "-k must be from 1 to 8, the studies of"),
        (("query.npz", "index.parquet"), ["-k", "9"], "-k must be from 1 to 8, the studies of"),
        (("query.npz", "index.parquet"), ["--model", "{made}/other"], "was written by small with SHA-256"),
        (("query.npz", "index.parquet"), ["--model", "nobody"], "no model is called 'nobody'"),
        (("query.npz", "index.parquet"), ["--lead", "II"], "takes 12 leads, got the lead 'II'"),
        (("query.npz", "index.parquet"), ["--json", "{made}/index.parquet"], "would overwrite what is read"),
        (("cohort", "index.parquet"), [], "similar takes one ECG file, got the folder"),
    ],
)
def test_bad_calls(
    made: Path, capsys: pytest.CaptureFixture[str], places: tuple[str, str], options: list[str], message: str
):
    words = [str(made / place) for place in places] + [word.format(made=made) for word in options]
    assert run(["similar", *words]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not said.out


def test_files_that_are_no_ecg(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "letter.txt").write_text("no ECG")
    for name in ("letter.txt", "absent.hea"):
        assert run(["similar", str(tmp_path / name), str(made / "index.parquet")]) == 1
        said = capsys.readouterr()
        assert said.err.count("\n") == 1
        assert not said.out


def test_a_model_that_is_gone(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(ModelNotFoundError, match="was written by the model small, which is not installed"):
        cardioloom.similar(made / "query.npz", made / "index.parquet")
    folder = str(made / "cache" / "models" / "small")
    assert cardioloom.similar(made / "query.npz", made / "index.parquet", k=1, model=folder).nearest[0].cosine > 0.9999


def test_a_model_of_another_name_is_told_that_it_is_another(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The model of the index is not installed; the one that `read` was given did not write it."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    index, others = made / "index.parquet", [str(made / "other"), str(made / "one")]
    sums = [Model.from_pretrained(other).sha256[:12] for other in others]
    written = "was written by small with SHA-256 .*, got .* with "
    with pytest.raises(ModelNotFoundError, match=rf"{written}{sums[0]}…: name that model with --model, .* this one$"):
        cardioloom.read(made / "query.npz", model=others[:1], similar=index)
    with pytest.raises(ModelNotFoundError, match=rf"{written}{sums[0]}… and .* with {sums[1]}…: .* one of these$"):
        cardioloom.read(made / "query.npz", model=others, similar=index)
    with pytest.raises(ModelNotFoundError, match="not installed"):
        cardioloom.read(made / "query.npz", similar=index)


def test_another_modality_is_refused(made: Path, tmp_path: Path):
    table = pq.read_table(made / "index.parquet")
    pq.write_table(
        table.replace_schema_metadata({**table.schema.metadata, b"cardioloom.modality": b"cine"}),
        tmp_path / "cine.parquet",
    )
    with pytest.raises(UsageError, match="holds embeddings of cine, an ECG was given"):
        cardioloom.similar(made / "query.npz", tmp_path / "cine.parquet")


def test_an_index_without_labels(made: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["similar", str(made / "query.npz"), str(made / "files.parquet"), "-k", "1"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 ECG of patients that the index does not name; 1 study" in shown
    assert "The index holds no numbers of their hearts." in shown
    assert "simulated" not in shown


def test_other_numbers_where_the_usual_are_not_there(made: Path, tmp_path: Path):
    table = pq.read_table(made / "index.parquet")
    labels = {"site": {"kind": "text"}, "heart_rate_bpm": {"kind": "number"}, "smoker": {"kind": "binary"}}
    metadata = {**table.schema.metadata, b"cardioloom.labels": json.dumps(labels).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "i.parquet")
    found = cardioloom.similar(made / "query.npz", tmp_path / "i.parquet")
    assert [(own.name, own.unit) for own in found.spreads] == [("heart_rate_bpm", "bpm")]
    assert set(found.nearest[0].facts) == {"heart_rate_bpm"}
    assert found.spreads[0].code == ""
    whole = cardioloom.similar(made / "query.npz", tmp_path / "i.parquet", all_columns=True)
    assert set(whole.nearest[0].facts) == set(labels)


def test_values_that_are_not_known(made: Path, tmp_path: Path):
    table = pq.read_table(made / "index.parquet")
    for name, values in (("lv_ef", [None] * 8), ("age", [None] * 8)):
        at = table.column_names.index(name)
        table = table.set_column(at, table.schema.field(name), pa.array(values, table.schema.field(name).type))
    pq.write_table(table, tmp_path / "i.parquet")
    found = cardioloom.similar(made / "query.npz", tmp_path / "i.parquet")
    assert not found.spreads
    assert found.nearest[0].age is None
    assert "lv_ef" not in found.nearest[0].facts


def test_an_ecg_that_the_model_abstains_on(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    header = write_wfdb(tmp_path / "brief.hea", ecg(seconds=0.8, fs=100))
    with pytest.raises(PreparationError, match="small abstains, so no similar ECG can be found: small needs at least"):
        cardioloom.similar(header, made / "index.parquet")
    assert run(["similar", str(header), str(made / "index.parquet"), "--json", "-"]) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert not said.out
    report = cardioloom.read(header, similar=made / "index.parquet")
    assert report.neighbours is None
    assert any(one.what == "similar_patients" and "abstains" in one.why for one in report.abstained)


def test_a_file_of_several(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = write_exams(tmp_path / "exams.hdf5")
    found = cardioloom.similar(path, made / "index.parquet", k=2)
    assert len(found) == 3
    names = [one.name for one in similar_each(path, made / "index.parquet")]
    assert names == ["exams-11", "exams-12", "exams-13"]
    write_exams(path, spoil=1)
    with pytest.raises(SomeFailedError, match="1 of 3 items failed"):
        cardioloom.similar(path, made / "index.parquet", json=tmp_path / "out.json")
    assert run(["similar", str(path), str(made / "index.parquet"), "--json", "-"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((tmp_path / "out.json").read_text())
    assert ["error" in one for one in said["ecgs"]] == [False, True, False]


def test_where_all_of_several_failed_nothing_is_written(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, index = write_exams(tmp_path / "exams.hdf5", spoil=[0, 1, 2]), made / "index.parquet"
    out = tmp_path / "out"
    for verb in (
        lambda: cardioloom.similar(path, index, json=out),
        lambda: cardioloom.read(path, similar=index, json=out),
    ):
        with pytest.raises(SomeFailedError, match="3 of 3 items failed"):
            verb()
        assert not out.exists()
    for call in (["similar", str(path), str(index)], ["read", str(path), "--similar", str(index)]):
        assert run([*call, "--json", str(out)]) == 1
        assert run([*call, "--json", "-"]) == 1
        assert not capsys.readouterr().out
        assert not out.exists()


def test_the_dash_is_a_word_of_the_command_line(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """To Python it is a file like any other: the verbs print nothing."""
    monkeypatch.chdir(tmp_path)
    for verb, where in ((cardioloom.similar, {"index": made / "index.parquet"}), (cardioloom.read, {})):
        assert "on the command line, - for standard output" in " ".join((verb.__doc__ or "").split())
        verb(made / "query.npz", *where.values(), json=Path("-"))
        assert json.loads(Path("-").read_text())["schema"].startswith("cardioloom.")
        Path("-").unlink()


def test_models_of_one_lead(made: Path, tmp_path: Path):
    out = cardioloom.embed(str(made / "one"), made / "cohort", tmp_path / "one.parquet", lead="V2")
    same = cardioloom.similar(made / "query.npz", out, model=str(made / "one"), k=1)
    assert same.nearest[0].cosine == pytest.approx(1, abs=1e-5)  # the index's lead, without being told
    other = cardioloom.similar(made / "query.npz", out, model=str(made / "one"), k=1, lead="aVR")
    assert other.nearest[0].cosine < 0.99999


def test_neighbours_in_the_report(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    call = ["read", str(made / "query.npz"), "--similar", str(made / "index.parquet")]
    page, file = tmp_path / "r.html", tmp_path / "r.json"
    assert run([*call, "--html", str(page), "--json", str(file)]) == 0
    assert "similar patients" in capsys.readouterr().out
    said = json.loads(file.read_text())
    direct = cardioloom.similar(made / "query.npz", made / "index.parquet", k=8)
    assert said["neighbours"]["index"]["made_of"] == direct.made_of
    assert [one["study_id"] for one in said["neighbours"]["patients"]] == [one.study_id for one in direct.nearest]
    assert [model["name"] for model in said["provenance"]["models"]] == ["small"]
    assert not any(one["source"] == "small" for one in said["findings"])  # it was asked for its features alone
    html = page.read_text()
    assert "Patients with a similar ECG" in html
    assert "8 simulated patients (phantom/1, population hospital)" in html
    assert "These are simulated patients: no persons." in html
    both = cardioloom.read(made / "query.npz", model=["small"], similar=made / "index.parquet")
    alone = cardioloom.read(made / "query.npz", similar=made / "index.parquet").neighbours
    assert both.neighbours == replace(alone, notes=())
    assert [model["name"] for model in both.provenance.models] == ["small"]
    assert "neighbours" not in json.loads(_without(made, tmp_path))
    for one in said["neighbours"]["patients"]:
        assert set(one) == {"rank", "study_id", "cosine", "age", "sex", "facts"}
        assert set(one["facts"]) == {"lv_ef"}
        assert one["age"] == int(one["age"])
    for patient in Folder.at(made / "cohort").cohort().column("patient_id").tolist():
        assert f'"{patient}"' not in file.read_text()
    trained_on = small_net.contract().card.trained_on
    assert f"The model was trained on {trained_on.rstrip('.')}." in html
    assert "small: " in said["provenance"]["preparation"]
    assert said["provenance"]["preparation"] == both.provenance.preparation


def _without(made: Path, folder: Path) -> str:
    cardioloom.read(made / "query.npz", json=folder / "plain.json", html=folder / "plain.html")
    assert "Patients with a similar ECG" not in (folder / "plain.html").read_text()
    return (folder / "plain.json").read_text()


def test_read_finds_the_model_among_those_named(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = str(made / "cache" / "models" / "small")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    report = cardioloom.read(made / "query.npz", model=[folder], similar=made / "index.parquet")
    assert report.neighbours is not None
    assert len(report.neighbours.nearest) == 8
    with pytest.raises(UsageError, match="is a folder, no index"):
        cardioloom.read(made / "query.npz", similar=made / "cohort")


def test_a_cohort_without_ecgs(made: Path, tmp_path: Path):
    facts = json.loads((made / "cohort" / "cohort.json").read_text())
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "cohort.json").write_text(json.dumps({**facts, "modalities": {}}))
    (bare / "cohort.parquet").write_bytes((made / "cohort" / "cohort.parquet").read_bytes())
    with pytest.raises(UsageError, match="holds no arrays, no ECGs"):
        cardioloom.embed("small", bare, tmp_path / "x.parquet")
    labels = {**facts["labels"], "warnings": {"kind": "text"}}
    (bare / "cohort.json").write_text(json.dumps({**facts, "labels": labels}))
    table = pq.read_table(made / "cohort" / "cohort.parquet")
    pq.write_table(table.append_column("warnings", pa.array(["none"] * 8)), bare / "cohort.parquet")
    with pytest.raises(UsageError, match="has a label called warnings, which is a column of embeddings"):
        cardioloom.embed("small", bare, tmp_path / "x.parquet")


def test_studies_without_an_ecg_are_listed(made: Path, tmp_path: Path):
    from cardioloom.store import Layout, Plan, ecg_modality
    from cardioloom.store.build import build

    layout = Layout({"ecg": ecg_modality(500.0, 10.0)})

    def make(patient: int):
        for entry in small_cohort.make(patient, splits={}):
            yield replace(entry, records={}) if patient == 1 else entry

    facts = {"source": "a register", "licence": "none"}
    build(
        tmp_path / "cohort",
        Plan(range(3), make, layout, {}, facts, {}),
        workers=1,
    )
    with pytest.raises(SomeFailedError, match="has no ecg"):
        cardioloom.embed("small", tmp_path / "cohort", tmp_path / "i.parquet")
    found = cardioloom.similar(made / "query.npz", tmp_path / "i.parquet", k=2)
    assert found.made_of == "2 patients of a register"
    assert not found.is_simulated


# Whose the recording is.


def test_the_patients_own_studies_are_left_out(made: Path, capsys: pytest.CaptureFixture[str]):
    index, own = made / "index.parquet", Folder.at(made / "cohort").cohort().row(6)
    call = ["similar", str(made / "query.npz"), str(index), "--patient", own["patient_id"]]
    assert run([*call, "--json", "-"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["ecgs"]
    assert own["study_id"] not in [study["study_id"] for study in one["patients"]]
    assert len(one["patients"]) == 7
    assert one["recording"] == {"in_index": False, "warnings": [], "notes": [RESAMPLED], "left_out": 1}
    assert run(call) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 study of the patient are left out" not in shown
    assert "1 study of the patient is left out." in shown
    assert "probably in the index" not in shown
    report = cardioloom.read(made / "query.npz", similar=index, patient=own["patient_id"])
    assert own["study_id"] not in [study.study_id for study in report.neighbours.nearest]
    stranger = cardioloom.similar(made / "query.npz", index, patient="nobody")
    assert (stranger.left_out, stranger.is_in_index, len(stranger.nearest)) == (0, True, 8)


def test_a_recording_of_the_index_is_said_to_be_in_it(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = "This recording is probably in the index itself"
    assert run(["similar", str(made / "query.npz"), str(made / "index.parquet")]) == 0
    assert words in " ".join(capsys.readouterr().out.split())
    page = tmp_path / "r.html"
    cardioloom.read(made / "query.npz", similar=made / "index.parquet", html=page)
    assert words in page.read_text()
    header = write_wfdb(tmp_path / "other.hea", ecg(seconds=10, fs=500))
    assert run(["similar", str(header), str(made / "index.parquet")]) == 0
    assert words not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (["similar", "{query}", "{made}/files.parquet", "--patient", "p"], "does not name its patients"),
        (
            ["similar", "{query}", "{index}", "--patient", "{own}", "-k", "8"],
            "-k must be from 1 to 7, the studies of ot",
        ),
        (["similar", "{query}", "{alone}", "--patient", "{own}"], "holds nobody but the patient that --patient names"),
        (["read", "{query}", "--patient", "{own}"], "got no --similar"),
        (["read", "{query}", "--similar", "{made}/files.parquet", "--patient", "p"], "does not name its patients"),
    ],
)
def test_bad_calls_with_a_patient(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], call: list[str], message: str
):
    own = Folder.at(made / "cohort").cohort().row(6)["patient_id"]
    table = pq.read_table(made / "index.parquet")
    pq.write_table(table.filter(pa.compute.equal(table["patient_id"], own)), tmp_path / "alone.parquet")
    places = {"made": made, "query": made / "query.npz", "index": made / "index.parquet"}
    places |= {"own": own, "alone": tmp_path / "alone.parquet"}
    assert run([word.format(**places) for word in call]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert own not in said
    assert said.count("\n") == 1


# What the model says of the recording.


def test_warnings_of_the_model_are_not_lost(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    record = ecg(seconds=1.5, fs=500)
    signal = record.signal.copy()
    signal[7] = 0
    np.savez(tmp_path / "flat.npz", signal=signal, leads=np.array(record.leads), fs=record.fs)
    found = cardioloom.similar(tmp_path / "flat.npz", made / "index.parquet")
    assert found.warnings == ("no signal in V2, which small needs.",)
    assert RESAMPLED in found.notes
    assert len(found.notes) > 1  # how a second and a half became two
    assert run(["similar", str(tmp_path / "flat.npz"), str(made / "index.parquet"), "--json", "-"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["ecgs"]
    assert one["recording"]["warnings"] == list(found.warnings)
    assert run(["similar", str(tmp_path / "flat.npz"), str(made / "index.parquet")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    html = tmp_path / "r.html"
    report = cardioloom.read(tmp_path / "flat.npz", similar=made / "index.parquet", html=html, json=tmp_path / "r.json")
    assert report.neighbours.warnings == found.warnings
    assert json.loads((tmp_path / "r.json").read_text())["neighbours"]["recording"]["warnings"] == list(found.warnings)
    assert f"! {found.warnings[0]}" in shown
    for text in (*found.warnings, *found.notes):
        assert text in shown
        assert text in html.read_text()


def test_what_the_model_says_is_said_once(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    record = ecg(seconds=1.5, fs=500)
    signal = record.signal.copy()
    signal[7] = 0
    np.savez(tmp_path / "flat.npz", signal=signal, leads=np.array(record.leads), fs=record.fs)
    call = [str(tmp_path / "flat.npz"), "--similar", str(made / "index.parquet"), "--html", str(tmp_path / "r.html")]
    said = cardioloom.similar(tmp_path / "flat.npz", made / "index.parquet")
    for models in ([], ["--model", "small"]):
        assert run(["read", *call, *models]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        page = (tmp_path / "r.html").read_text()
        for text in (*said.warnings, *said.notes):
            assert (shown.count(text[1:]), page.count(text[1:])) == (1, 1), text  # a sentence begins with a capital


# Which numbers are shown.


def test_the_ten_phenotypes_from_their_one_list(made: Path, tmp_path: Path):
    random = np.random.default_rng(1)
    table = pq.read_table(made / "index.parquet").drop_columns(["lv_ef"])
    columns = {name: random.uniform(50, 150, 8) for one in TEN for name in one.columns}
    columns |= {name: random.uniform(0.3, 0.7, 8) for name in ("lv_ef", "rv_ef")}
    columns["rv_esv_ml"][3] = np.inf
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    labels = json.dumps({name: {"kind": "number"} for name in ["smoker", *reversed(columns)]})
    metadata = {**table.schema.metadata, b"cardioloom.labels": labels.encode()}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "i.parquet")
    found = cardioloom.similar(made / "query.npz", tmp_path / "i.parquet")
    assert [own.code for own in found.spreads] == [one.code for one in TEN]
    assert {own.unit for own in found.spreads} == {"ml", "g", "l/min", "share"}
    own = found.spreads[8]
    assert (own.name, own.title) == ("rv_edv_ml - rv_esv_ml", "RV stroke volume")
    volumes = (columns["rv_edv_ml"] - columns["rv_esv_ml"])[np.arange(8) != 3]
    assert sorted(own.values) == pytest.approx(sorted(volumes))
    assert (own.n_index, own.median_index) == (7, pytest.approx(np.median(volumes)))
    (third,) = [one for one in found.nearest if one.study_id == table["study_id"][3].as_py()]
    assert not {"rv_esv_ml", own.name} & set(third.facts)
    percent = table.rename_columns({"lv_ef": "lv_ef_percent"})
    at = percent.column_names.index("lv_ef_percent")
    percent = percent.set_column(at, "lv_ef_percent", pa.array(100 * columns["lv_ef"]))
    labels = json.dumps({"lv_ef_percent": {"kind": "number"}})
    pq.write_table(
        percent.replace_schema_metadata({**metadata, b"cardioloom.labels": labels.encode()}), tmp_path / "p.parquet"
    )
    (ef,) = cardioloom.similar(made / "query.npz", tmp_path / "p.parquet").spreads
    assert (ef.name, ef.code, ef.unit) == ("lv_ef_percent", "LVEF", "%")


# An index that is damaged, or from anybody.


def changed(made: Path, path: Path, name: str, values: list, kind: pa.DataType | None = None) -> Path:
    table = pq.read_table(made / "index.parquet")
    column = pa.array(values, kind or table.schema.field(name).type)
    pq.write_table(table.set_column(table.column_names.index(name), name, column), path)
    return path


def test_values_that_are_not_finite_are_not_known(made: Path, tmp_path: Path):
    path = changed(made, tmp_path / "i.parquet", "age", [np.inf, np.nan, None, *[60.75] * 5])
    found = cardioloom.similar(made / "query.npz", changed(made, tmp_path / "e.parquet", "lv_ef", [np.inf] * 8))
    assert not found.spreads
    assert not any(one.facts for one in found.nearest)
    ages = [one.age for one in cardioloom.similar(made / "query.npz", path).nearest]
    assert sorted(map(str, ages)) == ["60.0"] * 5 + ["None"] * 3
    cardioloom.similar(made / "query.npz", path, json=tmp_path / "o.json", all_columns=True)
    json.loads((tmp_path / "o.json").read_text(), parse_constant=lambda text: pytest.fail(text))


def test_a_damaged_index_does_not_cost_the_report(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    rows = pq.read_table(made / "index.parquet")["embedding"].to_pylist()
    path = changed(made, tmp_path / "bad.parquet", "embedding", [None, *rows[1:]], pa.list_(pa.float32(), len(rows[0])))
    n_read, parts = [], Index._parts
    monkeypatch.setattr(Index, "_parts", lambda self: n_read.append(1) or parts(self))
    reports = cardioloom.read(write_exams(tmp_path / "exams.hdf5"), similar=path)
    assert len(reports) == 3
    for report in reports:
        assert report.measurements
        assert report.neighbours is None
        (why,) = [one.why for one in report.abstained if one.what == "similar_patients"]
        assert "bad.parquet has studies without an embedding: copy it again, or embed again" in why
    assert len(n_read) == 1
    assert run(["similar", str(tmp_path / "exams.hdf5"), str(path)]) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert not said.out


def test_what_is_no_index_is_refused_before_an_ecg_is_read(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A file that was cut: the report is not written either."""
    cut = tmp_path / "cut.parquet"
    cut.write_bytes((made / "index.parquet").read_bytes()[:-100])
    assert run(["read", str(made / "query.npz"), "--similar", str(cut), "--json", str(tmp_path / "r.json")]) == 2
    assert "cut.parquet cannot be read as Parquet, so it is no index" in capsys.readouterr().err
    assert not (tmp_path / "r.json").exists()


def test_a_fault_in_the_search_does_not_cost_the_report(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> None:
        raise KeyError("oops")

    query, index = made / "query.npz", made / "index.parquet"
    for name in ("rows", "load"):
        with monkeypatch.context() as here:
            here.setattr(Index, name, fail)
            report = cardioloom.read(query, similar=index)
            assert report.measurements
            assert any("met a fault of this library (KeyError('oops'))" in one.why for one in report.abstained)
            assert run(["similar", str(query), str(index)]) == 1
            said = capsys.readouterr().err
            assert "met a fault of this library" in said
            assert said.count("\n") == 1


@pytest.mark.parametrize("options", ["[1]", '{"lead": 5}', "{no"])
def test_odd_options_are_refused(made: Path, tmp_path: Path, options: str):
    table = pq.read_table(made / "index.parquet")
    metadata = {**table.schema.metadata, b"cardioloom.options": options.encode()}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "i.parquet")
    with pytest.raises(UsageError, match=r"is no index, its cardioloom\.options"):
        cardioloom.similar(made / "query.npz", tmp_path / "i.parquet")


def test_an_index_cannot_name_a_folder_to_load(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    table = pq.read_table(made / "index.parquet")
    folder = str(made / "cache" / "models" / "small")
    metadata = {**table.schema.metadata, b"cardioloom.model": folder.encode()}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "i.parquet")
    with pytest.raises(ModelNotFoundError, match="which is not installed"):
        cardioloom.similar(made / "query.npz", tmp_path / "i.parquet")


def test_what_is_built_for_many_studies_is_kept_in_the_cache(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("cardioloom.store.index.EXACT_ROWS", 4)
    call = [str(made / "query.npz"), "--similar", str(made / "index.parquet"), "--json", str(tmp_path / "r.json")]
    assert run(["read", *call]) == 0
    assert "building the search graph of 8 studies" in capsys.readouterr().err
    (kept,) = (made / "cache" / "similar").iterdir()
    assert run(["read", *call]) == 0
    assert not capsys.readouterr().err
    assert json.loads((tmp_path / "r.json").read_text())["neighbours"]["index"]["search"] == "approximate"
    kept.write_bytes(b"damaged")
    assert run(["similar", *call[:1], *call[2:3]]) == 0
    assert "is damaged or another index's: it is built again" in capsys.readouterr().err
