"""Files of class names in the formats of other projects and public data sets."""

import json

import pytest

from marey.base.errors import DataError
from marey.data.lists.class_files import read_classes
from marey.data.lists.read_manifest import read_manifest

THREE = ["across", "down, then up", "up"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.txt", "across\ndown, then up\nup\n"),
        ("c.txt", "\ufeffacross\r\n\r\ndown, then up\r\nup\r\n"),
        ("c.txt", "# classes\nacross\ndown, then up\nup\n"),
        ("c.csv", 'id,name\n0,across\n1,"down, then up"\n2,up\n'),
        ("c.csv", '"label","id"\n"up","2"\n"across","0"\n"down, then up","1"\n'),
        ("c.csv", "index;class name\n1;across\n2;down, then up\n3;up\n"),
        ("c.tsv", "id\tlabel\n0\tacross\n1\tdown, then up\n2\tup\n"),
        ("c.csv", 'name\nacross\n"down, then up"\nup\n'),
        ("c.txt", "1 across\n2 down, then up\n3 up\n"),
        ("c.txt", "2\tup\n0\tacross\n1\tdown, then up\n"),
        ("c.csv", 'across,0\n"down, then up",1\nup,2\n'),
        ("c.csv", '0,across\n1,"down, then up"\n2,up\n'),
        ("c.json", json.dumps(THREE)),
        ("c.json", json.dumps({"up": 2, "across": 0, "down, then up": 1})),
        ("c.json", json.dumps({"up": "2", "across": "0", "down, then up": "1"}, indent=1)),
        ("c.json", json.dumps({"2": "up", "0": "across", "1": "down, then up"})),
        (
            "c.json",
            json.dumps([{"id": 0, "name": "across"}, {"id": 2, "name": "up"}, {"id": 1, "name": "down, then up"}]),
        ),
        ("c.csv", 'id,name,count\n0,across,5\n1,"down, then up",3\n2,up,4\n'),
        ("c.txt", "ID Name\n0 across\n1 down, then up\n2 up\n"),
        ("c.json", json.dumps({"id2label": {"2": "up", "0": "across", "1": "down, then up"}, "model_type": "x"})),
        ("c.json", json.dumps({"categories": [{"id": n, "name": name} for n, name in enumerate(THREE, start=1)]})),
        ("c.json", json.dumps({"class_to_idx": {"up": 2, "across": 0, "down, then up": 1}})),
        ("c.yaml", "names:\n  0: across\n  1: down, then up\n  2: up\n"),
        ("c.yml", "- across\n- down, then up\n- up\n"),
    ],
)
def test_forms_of_class_files(name, text, tmp_path) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert read_classes(tmp_path / name) == THREE
    (tmp_path / "l.txt").write_text("a.mp4 0\nb.mp4 2\n")
    assert read_manifest(tmp_path / "l.txt", classes=tmp_path / name).class_names == tuple(THREE)


def test_names_that_end_in_numbers_are_names(tmp_path) -> None:
    for names in (["level 1", "level 2", "level 3"], ["walk 5", "run 7"], ["name", "label"][:1]):
        (tmp_path / "c.txt").write_text("\n".join(names))
        assert read_classes(tmp_path / "c.txt") == names


def test_lists_of_words_of_diving48(tmp_path) -> None:
    (tmp_path / "v.json").write_text('[["Back", "15som", "05Twis", "FREE"], ["Back", "15som", "15Twis", "FREE"]]')
    assert read_classes(tmp_path / "v.json") == ["Back+15som+05Twis+FREE", "Back+15som+15Twis+FREE"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.csv", "id,name\n0,a\n2,b\n", "2 classes with numbers up to 2, but 1 is missing"),
        ("c.txt", "0 a\n1 b\n1 c\n", r"c\.txt:3: class 1 \(c\) is there twice"),
        ("c.json", '{"a": 0, "a": 1}', "'a' is there twice in one object"),
        ("c.json", '{"a": [1]}', "expected the names of classes as a list"),
        ("c.json", '{"a": 0,}', r"c\.json:1: this is no JSON"),
        ("c.yaml", "- yes\n- no\n", "yes, no, on and off need quotes"),
        ("c.txt", "\n\n", "names no classes"),
        ("c.csv", "label,name\na,b\nc,d\n", "which column has the names"),
        ("c.csv", "id,name\n0,a,b\n1,c\n", r"c\.csv:2: expected 2 values"),
        ("c.csv", "name,index\nb,1.0\na,0.0\n", "the column 'index' must have whole numbers"),
        ("c.txt", "0 a\n1\n2 c\n", r"c\.txt:2: class 1 has no name"),
        ("c.csv", "path,label\na.mp4,run\n", r"c\.csv:1: 'path,label': this is a list of videos"),
        ("c.txt", "x/a.mp4 0\nx/b.mp4 1\n", r"c\.txt:1: 'x/a.mp4 0': this is a list of videos"),
        ("c.pbtxt", 'item {\n  name: "bend"\n  id: 1\n}\n', r"c\.pbtxt:1: 'item {' begins no class name"),
        ("c.xlsx", "PK\x03\x04", "an Excel sheet.*write one class name on each line"),
    ],
)
def test_class_files_that_are_refused(name, text, message, tmp_path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_classes(tmp_path / name)


def test_class_files_in_another_encoding(tmp_path) -> None:
    (tmp_path / "c.txt").write_bytes("größe\nhöhe\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"c\.txt: is not UTF-8 text; it looks like Windows-1252.*iconv"):
        read_classes(tmp_path / "c.txt")
    (tmp_path / "c.txt").write_text("größe\nhöhe\n", encoding="utf-16")
    assert read_classes(tmp_path / "c.txt") == ["größe", "höhe"]


def test_a_name_of_two_classes_is_no_label(tmp_path, capsys) -> None:
    (tmp_path / "c.txt").write_text("a\nb\na\n")
    (tmp_path / "n.txt").write_text("x.mp4 0\ny.mp4 2\n")
    assert read_manifest(tmp_path / "n.txt", classes=tmp_path / "c.txt").labels.tolist() == [0, 2]
    assert "the class 'a' is there twice" in " ".join(capsys.readouterr().err.split())
    (tmp_path / "n.txt").write_text("x.mp4 b\ny.mp4 a\n")
    with pytest.raises(DataError, match=r"n\.txt:2: the label 'a' is the name of two classes"):
        read_manifest(tmp_path / "n.txt", classes=tmp_path / "c.txt")
