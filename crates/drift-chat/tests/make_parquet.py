"""Writes fixtures/wildchat.parquet and fixtures/rows.parquet: `python make_parquet.py` (pyarrow)."""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

here = pathlib.Path(__file__).parent / "fixtures"
turn = pa.struct([("role", pa.string()), ("content", pa.string()), ("toxic", pa.bool_())])
chats = pa.table(
    {
        "conversation_hash": ["h1", "h2", "h3"],
        "model": ["m"] * 3,
        "timestamp": pa.array([1, 2, 3], pa.timestamp("us", tz="UTC")),
        "conversation": pa.array(
            [
                [{"role": "user", "content": "q", "toxic": False}, {"role": "assistant", "content": None}],
                [],
                [{"role": "user", "content": "né", "toxic": None}, {"role": "assistant", "content": "a", "toxic": True}],
            ],
            pa.list_(turn),
        ),
        "hashed_ip": ["u1", None, "u2"],
        "score": pa.array([1.5, None, float("nan")], pa.float64()),
    }
)
pq.write_table(chats, here / "wildchat.parquet", compression="snappy", row_group_size=2)
rows = pa.table(
    {
        "conversation_id": pa.array([7, 7, 8], pa.int64()),
        "role": pa.array(["user", "assistant", "user"]).dictionary_encode(),
        "content": ["q", "a", "alone"],
        "rating": pa.array([None, 2, None], pa.int32()),
    }
)
pq.write_table(rows, here / "rows.parquet", compression="zstd", data_page_version="2.0")
