//! The two operands of a matrix product, laid out for the kernels.
//!
//! `Rows` is the left operand A[m, k]: row-major, rows padded with zeros to whole
//! tiles. `Panels` is the right operand B[k, n]: cut into panels of 32 columns, inside a panel k
//! runs first, so that a kernel streams it; panels of 16 bits interleave two values of k (the layout of
//! `vdpbf16ps`, `vpdpwssd` and of AMX tiles). Weights are packed once an update, activations once a product.

use crate::bytes::{self, BLOCK, PANEL_BLOCK, ROW_BLOCK};
use crate::integer::{self, InUnits};
use crate::meter::Meter;
use crate::narrow::{Nearest, Spread, columns_to_pairs, half, low_half, rows_to_pairs, to_bf16, turn};
use crate::par::{self, Shared};

/// Of making operands from f32 matrices.
pub static PACKING: Meter = Meter::new("packing");

/// Columns of a panel.
pub const PANEL: usize = 32;
/// Operands of 16 bits are padded to whole AMX tiles in k.
const K_TILE: usize = 32;
/// So many rows behind the last are readable: AMX tiles have 16.
const SPARE_ROWS: usize = 16;
const NO_GRADIENT: &str = "operands of integers are for the forward pass, expected another precision for gradients";

/// The type of a product's operands. Sums are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    F32,
    Bf16,
    /// Each operand as two bf16 halves, x = high + low, and a product as three of the four products of
    /// halves: 16 bits of accuracy from bf16 units.
    Bf16x3,
    /// Integers of 16 bits with a unit for each row of A and each column of B, forward; bf16 backward. Nearly as fast as bf16
    /// with vectors, and log-probs are off by a fifth of what bf16 makes them.
    Int16,
    /// Bytes with a unit for each 64 values along k: weights of half the memory, for inference alone.
    Int8,
}

impl Precision {
    /// Those of one kind of operand forward and backward.
    pub const ALL: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Bf16x3];

    /// What the products of the backward pass are made of.
    pub fn gradients(self) -> Precision {
        if self == Precision::Int16 { Precision::Bf16 } else { self }
    }

    /// bf16 values that stand for one value.
    pub(crate) fn halves(self) -> usize {
        if self == Precision::Bf16x3 { 2 } else { 1 }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Storage {
    F32(Vec<f32>),
    Bf16(Vec<u16>),
    /// Integers of [`crate::integer`], and the unit of each row of A or column of B.
    Int16(Vec<i16>, Vec<f32>),
    /// Blocks of [`crate::bytes`].
    Int8(Vec<u8>),
}

impl Storage {
    fn new(precision: Precision) -> Storage {
        match precision {
            Precision::F32 => Storage::F32(Vec::new()),
            Precision::Bf16 | Precision::Bf16x3 => Storage::Bf16(Vec::new()),
            Precision::Int16 => Storage::Int16(Vec::new(), Vec::new()),
            Precision::Int8 => Storage::Int8(Vec::new()),
        }
    }

    /// Gives the storage `len` elements, of `others` rows or columns; grows only where it never was so large.
    fn resize(&mut self, len: usize, others: usize) {
        match self {
            Storage::F32(data) => data.resize(len, 0.0),
            Storage::Bf16(data) => data.resize(len, 0),
            Storage::Int16(data, units) => {
                data.resize(len, 0);
                units.resize(others, 0.0);
            }
            Storage::Int8(data) => data.resize(len, 0),
        }
    }

    /// k with its padding, and the elements that so many values take beside those of `others` rows or columns.
    fn padded(&self, k: usize, block: usize, others: usize) -> (usize, usize) {
        match self {
            Storage::F32(_) => (k, k * others),
            Storage::Bf16(_) | Storage::Int16(..) => (k.next_multiple_of(K_TILE), k.next_multiple_of(K_TILE) * others),
            Storage::Int8(_) => (k.next_multiple_of(BLOCK), k.div_ceil(BLOCK) * block),
        }
    }

    /// Bytes of one.
    pub fn element(&self) -> usize {
        match self {
            Storage::F32(_) => 4,
            Storage::Bf16(_) | Storage::Int16(..) => 2,
            Storage::Int8(_) => 1,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Storage::F32(data) => data.capacity() * 4,
            Storage::Bf16(data) => data.capacity() * 2,
            Storage::Int16(data, units) => data.capacity() * 2 + units.capacity() * 4,
            Storage::Int8(data) => data.capacity(),
        }
    }
}

/// The left operand, A[m, k].
#[derive(Clone, Debug)]
pub struct Rows {
    pub(crate) m: usize,
    pub(crate) k: usize,
    /// k with its padding.
    pub(crate) kp: usize,
    /// Elements from one row to the next: `halves · kp`.
    pub(crate) stride: usize,
    pub(crate) halves: usize,
    pub(crate) data: Storage,
}

impl Rows {
    pub fn new(precision: Precision) -> Rows {
        Rows { m: 0, k: 0, kp: 0, stride: 0, halves: precision.halves(), data: Storage::new(precision) }
    }

    pub fn shape(&self) -> (usize, usize) {
        (self.m, self.k)
    }

    pub fn bytes(&self) -> usize {
        self.data.bytes()
    }

    fn shape_to(&mut self, m: usize, k: usize) {
        let (kp, row) = self.data.padded(k, ROW_BLOCK, 1);
        let stride = self.halves * row;
        if (self.m, self.k) != (m, k) {
            self.data.resize((m + SPARE_ROWS) * stride, m);
            (self.m, self.k, self.kp, self.stride) = (m, k, kp, stride);
        }
    }

    /// Fills A[m, k] row by row: `row(i, out)` writes row i, `[k]`.
    pub fn fill(&mut self, m: usize, k: usize, row: impl Fn(usize, &mut [f32]) + Sync + Send) {
        let _span = PACKING.start(0, m * k * (4 + self.data.element()));
        self.shape_to(m, k);
        let (stride, kp) = (self.stride, self.kp);
        match &mut self.data {
            Storage::F32(data) => par::rows(&mut data[..m * stride], stride, 16, |first, rows| {
                for (i, out) in rows.chunks_mut(stride).enumerate() {
                    row(first + i, out);
                }
            }),
            Storage::Bf16(data) => par::rows(&mut data[..m * stride], stride, 16, |first, rows| {
                par::with_floats(k, |wide| {
                    for (i, out) in rows.chunks_mut(stride).enumerate() {
                        row(first + i, wide);
                        for (half, out) in out.chunks_mut(kp).enumerate() {
                            if half == 1 {
                                wide.iter_mut().for_each(|value| *value = low_half(*value));
                            }
                            to_bf16(wide, &mut out[..k]);
                            out[k..].fill(0); // an earlier, wider matrix may have left values here
                        }
                    }
                });
            }),
            Storage::Int16(data, units) => {
                let units = Shared::new(units);
                par::rows(&mut data[..m * stride], stride, 16, |first, rows| {
                    par::with_floats(k, |wide| {
                        for (i, out) in rows.chunks_mut(stride).enumerate() {
                            row(first + i, wide);
                            // SAFETY: this task alone has these rows.
                            let unit = unsafe { units.slice(first + i, 1) };
                            integer::units(wide, k, unit);
                            integer::in_units(wide, unit[0], &mut out[..k]);
                            out[k..].fill(0);
                        }
                    });
                });
            }
            Storage::Int8(data) => par::rows(&mut data[..m * stride], stride, 16, |first, rows| {
                par::with_floats(k, |wide| {
                    for (i, out) in rows.chunks_mut(stride).enumerate() {
                        row(first + i, wide);
                        bytes::to_row(wide, out);
                    }
                });
            }),
        }
    }

    /// A = src, `[m, k]` with `ld` elements from row to row.
    pub fn load(&mut self, src: &[f32], m: usize, k: usize, ld: usize) {
        self.fill(m, k, |i, out| out.copy_from_slice(&src[i * ld..i * ld + k]));
    }

    /// A = srcᵀ, src `[k, m]` with `ld` elements from row to row.
    pub fn load_transposed(&mut self, src: &[f32], m: usize, k: usize, ld: usize) {
        let _span = PACKING.start(0, m * k * (4 + self.data.element()));
        self.shape_to(m, k);
        let (stride, kp) = (self.stride, self.kp);
        // Columns of src that a task turns: a few cache lines of every row.
        const BLOCK: usize = 64;
        match &mut self.data {
            Storage::F32(data) => par::rows(&mut data[..m * stride], stride, BLOCK, |first, rows| {
                for l in 0..k {
                    let column = &src[l * ld + first..];
                    for (i, out) in rows.chunks_mut(stride).enumerate() {
                        out[l] = column[i];
                    }
                }
            }),
            Storage::Bf16(data) => {
                for i in 0..self.halves {
                    let src = half(src, i);
                    par::rows(&mut data[..m * stride], stride, BLOCK, |first, rows| {
                        let rows = &mut rows[i * kp..];
                        turn(&src, ld, first, k, rows, stride);
                        for out in rows.chunks_mut(stride) {
                            out[k..kp].fill(0);
                        }
                    });
                }
            }
            Storage::Int16(..) | Storage::Int8(_) => panic!("{NO_GRADIENT}"),
        }
    }
}

/// The right operand, B[k, n], in panels of 32 columns.
#[derive(Clone, Debug)]
pub struct Panels {
    pub(crate) k: usize,
    pub(crate) n: usize,
    /// k with its padding; even for 16 bits.
    pub(crate) kp: usize,
    /// A panel holds its high half, then its low half.
    pub(crate) halves: usize,
    pub(crate) data: Storage,
}

impl Panels {
    pub fn new(precision: Precision) -> Panels {
        Panels { k: 0, n: 0, kp: 0, halves: precision.halves(), data: Storage::new(precision) }
    }

    pub fn shape(&self) -> (usize, usize) {
        (self.k, self.n)
    }

    pub fn bytes(&self) -> usize {
        self.data.bytes()
    }

    /// Elements of one panel.
    pub(crate) fn panel(&self) -> usize {
        self.halves * self.data.padded(self.kp, PANEL_BLOCK, PANEL).1
    }

    /// Gives B the shape `[k, n]`; the values are whatever was there, the padding is zero.
    pub fn shape_to(&mut self, k: usize, n: usize) {
        if (self.k, self.n) == (k, n) {
            return;
        }
        let (kp, panel) = self.data.padded(k, PANEL_BLOCK, PANEL);
        self.data.resize(n.div_ceil(PANEL) * panel * self.halves, n.next_multiple_of(PANEL));
        match &mut self.data {
            Storage::F32(data) => zero(data),
            Storage::Bf16(data) => zero(data),
            // Columns that are not there have the unit 0.
            Storage::Int16(data, units) => {
                zero(data);
                units.fill(0.0);
            }
            Storage::Int8(data) => zero(data),
        }
        (self.k, self.n, self.kp) = (k, n, kp);
    }

    /// B[:, at..at + rows] = srcᵀ, src `[rows, k]`: the layout of a weight `[out, in]` used forward. bf16 alone, where a change
    /// smaller than its steps would be lost or enlarged, is rounded by [`Spread`].
    pub fn set_columns(&mut self, at: usize, src: &[f32], rows: usize) {
        let (k, panel) = (self.k, self.panel());
        assert!(at + rows <= self.n && src.len() == rows * k, "B[{k}, {}]: columns {at}+{rows}", self.n);
        let _span = PACKING.start(0, src.len() * (4 + self.data.element()));
        // One task a panel that the columns touch.
        let (first, last) = (at / PANEL, (at + rows).div_ceil(PANEL));
        match &mut self.data {
            Storage::F32(data) => {
                par::rows(&mut data[first * panel..last * panel], panel, 1, |p, out| {
                    for j in columns(first + p, at, rows) {
                        let row = &src[((first + p) * PANEL + j - at) * k..][..k];
                        for (l, value) in row.iter().enumerate() {
                            out[l * PANEL + j] = *value;
                        }
                    }
                });
            }
            Storage::Bf16(data) => {
                let half_panel = self.kp * PANEL;
                par::rows(&mut data[first * panel..last * panel], panel, 1, |p, out| {
                    let columns = columns(first + p, at, rows);
                    let src = &src[((first + p) * PANEL + columns.start - at) * k..][..columns.len() * k];
                    let column = (first + p) * PANEL + columns.start;
                    if out.len() == half_panel {
                        return columns_to_pairs(&Spread, src, k, columns.start, column, out);
                    }
                    for (i, out) in out.chunks_mut(half_panel).enumerate() {
                        columns_to_pairs(&Nearest, &half(src, i), k, columns.start, column, out);
                    }
                });
            }
            Storage::Int16(data, units) => {
                let units = Shared::new(units);
                par::rows(&mut data[first * panel..last * panel], panel, 1, |p, out| {
                    let columns = columns(first + p, at, rows);
                    let src = &src[((first + p) * PANEL + columns.start - at) * k..][..columns.len() * k];
                    let column = (first + p) * PANEL + columns.start;
                    // SAFETY: this task alone has these columns.
                    let units = unsafe { units.slice(column, columns.len()) };
                    integer::units(src, k, units);
                    columns_to_pairs(&InUnits::of(units), src, k, columns.start, column, integer::bits(out));
                });
            }
            Storage::Int8(data) => {
                par::rows(&mut data[first * panel..last * panel], panel, 1, |p, out| {
                    for j in columns(first + p, at, rows) {
                        bytes::to_column(&src[((first + p) * PANEL + j - at) * k..][..k], j, out);
                    }
                });
            }
        }
    }

    /// B[at..at + rows, :] = src, src `[rows, n]` with `ld` elements from row to row: a weight
    /// `[out, in]` used backward, or activations as the right operand of a weight gradient.
    pub fn set_rows(&mut self, at: usize, src: &[f32], rows: usize, ld: usize) {
        let (n, panel) = (self.n, self.panel());
        assert!(at + rows <= self.k, "B[{}, {n}]: rows {at}+{rows}", self.k);
        let _span = PACKING.start(0, rows * n * (4 + self.data.element()));
        let pieces = n.div_ceil(PANEL);
        match &mut self.data {
            Storage::F32(data) => par::rows(&mut data[..pieces * panel], panel, 1, |p, out| {
                let width = PANEL.min(n - p * PANEL);
                for l in 0..rows {
                    out[(at + l) * PANEL..][..width].copy_from_slice(&src[l * ld + p * PANEL..][..width]);
                }
            }),
            Storage::Bf16(data) => {
                for i in 0..self.halves {
                    let src = half(src, i);
                    par::rows(&mut data[..pieces * panel], panel, 1, |p, out| {
                        let width = PANEL.min(n - p * PANEL);
                        rows_to_pairs(&src, ld, p * PANEL, width, at, rows, &mut out[i * self.kp * PANEL..]);
                    });
                }
            }
            Storage::Int16(..) | Storage::Int8(_) => panic!("{NO_GRADIENT}"),
        }
    }
}

/// The columns of panel `p` that lie in `at..at + rows`, counted within the panel.
fn columns(p: usize, at: usize, rows: usize) -> std::ops::Range<usize> {
    let start = at.saturating_sub(p * PANEL);
    start..(at + rows - p * PANEL).min(PANEL)
}

fn zero<T: Default + Clone + Send>(data: &mut [T]) {
    let len = data.len();
    let shared = Shared::new(data);
    const CHUNK: usize = 1 << 16;
    par::tasks(len.div_ceil(CHUNK), |i| {
        // SAFETY: chunks of one slice, disjoint by construction.
        unsafe { shared.slice(i * CHUNK, CHUNK.min(len - i * CHUNK)) }.fill(T::default());
    });
}
