"""Tables: what is read is what was written, and back."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bestiary.data.load import load
from bestiary.data.spec import Spec
from bestiary.data.tables import to_rows, write_table
from bestiary.errors import BestiaryError

TEXT = "height,kind,weight\n" + "\n".join(f"{i / 2},{'cat' if i % 3 else 'dog'},{100 - i}" for i in range(12))


def write(path: Path, text: str = TEXT) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_numbers_and_categories(tmp_path: Path) -> None:
    data = load(write(tmp_path / "t.csv"))
    assert data.spec.x.noun == "table"
    assert [c.name for c in data.spec.x.columns] == ["height", "kind", "weight"]
    assert data.spec.x.columns[1].words == ("cat", "dog")
    assert data.x.shape == (12, 4)
    assert data.x[0, 1:3].tolist() == [0, 1]
    x = data.part("train")[:, [0, 3]].astype(np.float64)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(x.std(axis=0), 1, atol=1e-6)


def test_rows_come_back(tmp_path: Path) -> None:
    data = load(write(tmp_path / "t.csv"))
    rows = to_rows(data.spec, data.x)
    assert rows[0] == {"height": 0, "kind": "dog", "weight": 100}
    assert [row["height"] for row in rows] == pytest.approx([i / 2 for i in range(12)], abs=1e-6)
    noisy = data.x + np.float32(0.3) * (data.x == 0)  # a model's soft one-hot
    assert [row["kind"] for row in to_rows(data.spec, noisy)] == [row["kind"] for row in rows]
    with pytest.raises(BestiaryError, match="components"):
        to_rows(data.spec, data.x[:, :2])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_written_table_is_read_as_the_same_data(tmp_path: Path, suffix: str) -> None:
    data = load(write(tmp_path / "t.csv"))
    again = load(write_table(tmp_path / f"again{suffix}", data.spec, data.x))
    np.testing.assert_allclose(again.x, data.x, atol=1e-6)
    assert [c.name for c in again.spec.x.columns] == [c.name for c in data.spec.x.columns]
    assert again.spec.x.columns[1] == data.spec.x.columns[1]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", " ", "   "])
def test_delimiters(tmp_path: Path, mark: str) -> None:
    data = load(write(tmp_path / "t.txt", TEXT.replace(",", mark)))
    assert np.array_equal(data.x, load(write(tmp_path / "t.csv")).x)


def test_quotes_marks_and_accents(tmp_path: Path) -> None:
    text = '\ufeff"größe, cm",art\n' + "\n".join(f'{i},"a, {i % 2}"' for i in range(8))
    data = load(write(tmp_path / "t.csv", text))
    assert [c.name for c in data.spec.x.columns] == ["größe, cm", "art"]
    assert data.spec.x.columns[1].words == ("a, 0", "a, 1")


def test_header_or_none(tmp_path: Path) -> None:
    numbers = "\n".join(f"{i},{i + 100}" for i in range(9))
    assert len(load(write(tmp_path / "t.csv", numbers)).x) == 9
    assert len(load(write(tmp_path / "t.csv", numbers), header="yes").x) == 8
    words = "a,b\nc,d\n" * 5
    assert len(load(write(tmp_path / "t.csv", words), header="no").x) == 10


def test_the_label_is_not_part_of_x(tmp_path: Path) -> None:
    data = load(write(tmp_path / "t.csv"), label="kind")
    assert data.spec.label.words == ("cat", "dog")
    assert data.stored["label"][:4].tolist() == [1, 0, 0, 1]
    assert data.x.shape == (12, 2)
    with pytest.raises(BestiaryError, match="did you mean `kind`"):
        load(tmp_path / "t.csv", label="kinds")


MANY = "size,kind,energy,note,class\n" + "\n".join(
    f"{i},{'ab'[i % 2]},{'' if i % 6 == 2 else i / 2},{'NA' if i % 6 == 4 else f'Ball {i}'},{i % 3}" for i in range(12)
)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_stand_beside_x_and_are_masked_where_missing(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / "t.csv", MANY)
    if suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        columns = {"size": [*range(12)], "kind": [*"ab"] * 6, "class": [0, 1, 2] * 4,
                   "energy": [None if i % 6 == 2 else i / 2 for i in range(12)],
                   "note": [None if i % 6 == 4 else f"Ball {i}" for i in range(12)]}  # fmt: skip
        path = tmp_path / "t.parquet"
        parquet.write_table(pyarrow.table(columns), path)
    data = load(path, beside="energy,kind", caption="note", label="class")
    assert [c.name for c in data.spec.x.columns] == ["size"]
    assert {f.name: f.layout for f in data.spec.beside} == {"label": "label", "energy": "row", "kind": "label",
                                                            "note": "sequence"}  # fmt: skip
    assert np.flatnonzero(~data.stored["energy?"]).tolist() == [2, 8]
    assert np.flatnonzero(~data.stored["note?"]).tolist() == [4, 10]
    (column,) = data.spec["energy"].columns
    energy = data.stored["energy"][:, 0] * column.support.scale + column.support.mean
    np.testing.assert_allclose(energy[data.stored["energy?"]], [i / 2 for i in range(12) if i % 6 != 2], atol=1e-5)
    assert [data.spec["kind"].words[i] for i in data.stored["kind"]] == [*"ab"] * 6
    assert data.source["note"].startswith("took energy as numbers, kind as label, note as caption")
    assert Spec.from_dict(data.spec.to_dict()) == data.spec


def test_columns_beside_x_stay_with_their_rows_when_some_are_dropped(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", MANY.replace("\n3,b", "\n,b"))
    data = load(path, beside="energy", caption="note", label="class", drop="kind", missing="drop")
    kept = [i for i in range(12) if i != 3]
    assert [row["size"] for row in to_rows(data.spec, data.x)] == pytest.approx(kept, abs=1e-5)
    assert data.stored["label"].tolist() == [i % 3 for i in kept]
    assert data.stored["note?"].tolist() == [i % 6 != 4 for i in kept]
    assert data.stored["energy?"].tolist() == [i % 6 != 2 for i in kept]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"beside": "note"}, "say caption=note"),
        ({"beside": "enrgy"}, "did you mean `energy`"),
        ({"beside": "kind", "label": "kind"}, "kind is named twice"),
        ({"beside": "note", "caption": "note"}, "note is named twice"),
        ({"caption": "size", "drop": "energy,note"}, "must be one text"),
        ({"beside": "size,kind,energy,class", "caption": "note"}, "no column"),
    ],
)
def test_columns_beside_x_that_cannot_be_are_refused(tmp_path: Path, options: dict[str, str], says: str) -> None:
    with pytest.raises(BestiaryError, match=says):
        load(write(tmp_path / "t.csv", MANY.replace("NA", "none")), **options)


def test_numbers_can_be_categories_and_columns_dropped(tmp_path: Path) -> None:
    text = "a,b,c\n" + "\n".join(f"{i % 3},{i},{i}" for i in range(9))
    data = load(write(tmp_path / "t.csv", text), categories="a", drop="c")
    assert data.spec.x.columns[0].words == ("0", "1", "2")
    assert [c.name for c in data.spec.x.columns] == ["a", "b"]


def test_free_text_is_refused_with_the_way_out(tmp_path: Path) -> None:
    text = "name,x\n" + "\n".join(f"person {i},{i}" for i in range(60))
    with pytest.raises(BestiaryError, match="drop=name, or let it stand beside x with caption=name"):
        load(write(tmp_path / "t.csv", text))
    assert load(tmp_path / "t.csv", drop="name").x.shape == (60, 1)


@pytest.mark.parametrize("options", [{}, {"categories": "number"}])
def test_a_column_of_many_words_is_refused_before_it_takes_memory(
    tmp_path: Path, peak_bytes: Callable[[Callable[[], object]], int], options: dict[str, str]
) -> None:
    """4,000 distinct words as one-hot components would be 64 MB, and the table of them as much again."""
    name = "word" if not options else "number"
    cells = [f"w{i}" if name == "word" else str(i) for i in range(4000)]
    path = write(tmp_path / "t.csv", f"{name},x\n" + "".join(f"{cell},{i % 7}\n" for i, cell in enumerate(cells)))

    def refused() -> None:
        with pytest.raises(BestiaryError, match=f"column {name} has 4,000 distinct words"):
            load(path, **options)

    assert peak_bytes(refused) < 20e6


@pytest.mark.parametrize("by_hand", [False, True])
def test_one_long_cell_does_not_widen_a_whole_column(
    tmp_path: Path, peak_bytes: Callable[[Callable[[], object]], int], monkeypatch: pytest.MonkeyPatch, by_hand: bool
) -> None:
    """numpy gives each cell of a column as much memory as its longest: here 1.2 GB."""
    path = write(
        tmp_path / "t.csv", "note,x\n" + f"{'y' * 100_000},1\n" + "".join(f"w{i % 5},{i}\n" for i in range(3000))
    )
    if by_hand:
        monkeypatch.setattr("bestiary.data.table_files.text_columns", lambda *_: None)

    def refused() -> None:
        with pytest.raises(BestiaryError, match=r"a cell of 100,000 letters, which begins `yyy.* would take 1.2 GB"):
            load(path)

    assert peak_bytes(refused) < 20e6


@pytest.mark.parametrize("gap", ["", "NA", "nan", "?", "inf", "null"])
def test_missing_values_are_counted_dropped_or_filled(tmp_path: Path, gap: str) -> None:
    path = write(tmp_path / "t.csv", TEXT.replace("1.0,", f"{gap},"))
    with pytest.raises(BestiaryError, match=r"height \(1 rows, first row 2\)"):
        load(path)
    assert len(load(path, missing="drop").x) == 11
    filled = to_rows(load(path, missing="mean").spec, load(path, missing="mean").x)
    known = load(path, missing="mean").parts["train"]
    assert filled[2]["height"] == pytest.approx(np.mean([i / 2 for i in known if i != 2]), abs=1e-5)


def test_missing_words(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", TEXT.replace("dog,100", ",100"))
    with pytest.raises(BestiaryError, match="kind"):
        load(path)
    data = load(path, missing="mean")
    assert to_rows(data.spec, data.x)[0]["kind"] == "cat"  # the commonest
    with pytest.raises(BestiaryError, match="label kind is missing"):
        load(path, label="kind", missing="mean")


@pytest.mark.parametrize(
    "text", ["", "a,b\n", "a,b\n1\n2,3\n", "a,a\n1,2\n3,4\n", "x\n\x00\n", 'a,b\n"1,2\n3,4', "a,b\n1,\n2,\n3,\n4,\n"]
)
def test_broken_tables_are_explained(tmp_path: Path, text: str) -> None:
    with pytest.raises(BestiaryError):
        load(write(tmp_path / "t.csv", text))


def test_other_encodings_are_explained(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("größe,a\n1,2\n".encode("latin-1"))
    with pytest.raises(BestiaryError, match="UTF-8"):
        load(tmp_path / "t.csv")


def test_damaged_parquet_is_explained(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(BestiaryError, match="damaged"):
        load(tmp_path / "t.parquet")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from('0123456789.,;\t\n"ab é-e?\x00\r'), max_size=80))
def test_any_text_gives_a_data_set_or_our_error(tmp_path: Path, text: str) -> None:
    try:
        data = load(write(tmp_path / "t.csv", text), missing="drop")
    except BestiaryError:
        return
    assert np.isfinite(data.x).all()


def test_a_header_may_leave_the_index_without_a_name(tmp_path: Path) -> None:
    rows = "\n".join(f"{i},{i / 10},{i % 7}" for i in range(30))
    data = load(write(tmp_path / "t.csv", f",height,weight\n{rows}"))
    assert [c.name for c in data.spec.x.columns] == ["x1", "height", "weight"]
    assert len(data.x) == 30
    gaps = load(write(tmp_path / "u.csv", f",,NA\n{rows}"), missing="drop")  # no word: the first row has gaps
    assert [c.name for c in gaps.spec.x.columns] == ["x1", "x2", "x3"]


@pytest.mark.parametrize("head", ["a;b\n", ""])
def test_decimal_commas_are_refused(tmp_path: Path, head: str) -> None:
    with pytest.raises(BestiaryError, match=r"decimal comma, as in \d,5: write a point"):
        load(write(tmp_path / "t.csv", head + "\n".join(f"{i},5;{i},25" for i in range(20))))


TYPO = "a,b\n" + "".join(f"{i}.5,{i % 4}\n" for i in range(30)) + '"12,5",3\n7,o\n'


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, r"line 32: a holds numbers, and here `12,5` .* decimal comma, as in 12,5: write a point.*categories=a"),
        ({"drop": "a"}, r"line 33: b holds numbers, and here the word `o`.*categories=b.*drop=b"),
        ({"drop": "a", "beside": "b"}, r"line 33: b holds numbers"),
    ],
)
def test_a_word_among_numbers_is_refused_by_its_line(tmp_path: Path, options: dict[str, str], says: str) -> None:
    with pytest.raises(BestiaryError, match=says):
        load(write(tmp_path / "t.csv", TYPO), **options)


def test_a_column_that_is_named_a_category_may_mix_numbers_and_words(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", TYPO)
    assert load(path, drop="a", categories="b").spec.x.columns[0].words == ("0", "1", "2", "3", "o")
    half = write(tmp_path / "h.csv", "a,b\n" + "1,x\n2,y\nK,z\nL,z\n" * 4)
    assert load(half).spec.x.columns[0].words == ("1", "2", "K", "L")


def test_decimal_commas_beside_whole_numbers_are_refused_by_their_line(tmp_path: Path) -> None:
    text = "a;b\n1;2\n3;4\n" + "1,5;2\n" * 30
    with pytest.raises(BestiaryError, match=r"line 4: a holds.*decimal comma, as in 1,5: write a point"):
        load(write(tmp_path / "t.csv", text))


def test_a_word_in_a_parquet_column_of_numbers_is_refused_by_its_row(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"a": ["1"] * 20 + ["x"], "b": [*range(21)]}), tmp_path / "t.parquet")
    with pytest.raises(BestiaryError, match=r"row 21: a holds numbers, and here the word `x`"):
        load(tmp_path / "t.parquet")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_names_of_columns_have_no_control_characters_and_none_is_dropped(tmp_path: Path, suffix: str) -> None:
    names = ["", "height\n(cm)", "\x1b[31mred\x07", "a\u2028b"]
    path = tmp_path / f"t{suffix}"
    if suffix == ".csv":
        write(
            path,
            ",".join(f'"{name}"' for name in names) + "\n" + "".join(f"{i},{i * i},{i + 2},{-i}\n" for i in range(9)),
        )
    else:
        import pyarrow
        from pyarrow import parquet

        columns = [[*range(9)], [i * i for i in range(9)], [*range(2, 11)], [-i for i in range(9)]]
        parquet.write_table(pyarrow.table(columns, names=names), path)
    assert [c.name for c in load(path).spec.x.columns] == ["x1", "height (cm)", "[31mred", "a b"]
    again = load(path, drop="a b", label="[31mred")
    assert [c.name for c in again.spec.x.columns] == ["x1", "height (cm)"]


def test_words_with_underscores_are_no_numbers(tmp_path: Path) -> None:
    data = load(write(tmp_path / "t.csv", "id,x\n" + "\n".join(f"1_{i % 2},{i}" for i in range(20))))
    assert data.spec.x.columns[0].words == ("1_0", "1_1")


def test_lines_of_empty_cells_are_no_rows(tmp_path: Path) -> None:
    with pytest.raises(BestiaryError, match="not empty"):
        load(write(tmp_path / "t.csv", ",,\n, ,\n"))


def test_a_constant_column_has_no_density_and_comes_back_in_its_place(tmp_path: Path) -> None:
    """A column of one value has a density as high as one likes: −log p would fall by nats that mean nothing."""
    rows = [[f"{i / 7:.3f}", "ab"[i % 2], i * i] for i in range(30)]
    plain = write(tmp_path / "p.csv", "a,b,c\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    text = "k,a,w,b,c,z\n" + "".join(f"0.1,{a},red,{b},{c},-7\n" for a, b, c in rows)
    data, without = load(write(tmp_path / "t.csv", text)), load(plain)
    assert np.array_equal(data.x, without.x)
    assert data.spec.log_scale == without.spec.log_scale
    assert [c.name for c in data.spec.x.columns] == ["a", "b", "c"]
    assert "constant, so no part of x but written into samples: k = 0.1, w = red, z = -7" in data.source["note"]
    assert Spec.from_dict(data.spec.to_dict()) == data.spec
    for suffix in (".csv", ".parquet"):
        written = write_table(tmp_path / f"again{suffix}", Spec.from_dict(data.spec.to_dict()), data.x)
        again = load(written)
        assert again.spec.x.support.constants == data.spec.x.support.constants
        assert list(to_rows(again.spec, again.x)[0]) == ["k", "a", "w", "b", "c", "z"]
        np.testing.assert_allclose(again.x, data.x, atol=1e-5)


def test_ids_and_signs_are_noted_with_the_key_to_type(tmp_path: Path) -> None:
    text = "id,mass,sign\n" + "".join(f"{i},{(i * 37) % 11 + i % 7 / 10},{i % 2 * 2 - 1}\n" for i in range(100))
    note = load(write(tmp_path / "t.csv", text)).source["note"]
    assert "drop=id leaves it out; sign takes 2 values and is fitted as a number: categories=sign" in note
    assert load(tmp_path / "t.csv", drop="id", categories="sign").source["note"] == ""


def test_a_table_of_constants_keeps_them(tmp_path: Path) -> None:
    """Samples of a model that has collapsed: they must be read to be judged."""
    assert load(write(tmp_path / "t.csv", "a,b\n" + "1,2\n" * 9)).x.shape == (9, 2)


def test_a_constant_comes_back_however_small(tmp_path: Path) -> None:
    data = load(write(tmp_path / "t.csv", "a,b\n" + "\n".join(f"3e-8,{i}" for i in range(20))))
    assert [row["a"] for row in to_rows(data.spec, data.x)] == pytest.approx([3e-8] * 20, rel=1e-9)
