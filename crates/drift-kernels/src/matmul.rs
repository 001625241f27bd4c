//! `C[m, n] (+)= A[m, k] · B[k, n]`: the three products of a linear layer.
//!
//! forward          Y[T, out] = X[T, in] · Wᵀ        A = X,  B = panels whose columns are W's rows
//! input gradient   dX[T, in] = dY[T, out] · W       A = dY, B = panels whose rows are W's rows
//! weight gradient  dW[out, in] += dYᵀ[out, T] · X   A = dYᵀ, B = panels whose rows are X's rows

use crate::bytes;
use crate::integer;
use crate::isa::Isa;
use crate::meter::Meter;
use crate::operand::{PANEL, Panels, Rows, Storage};
use crate::par::{self, Shared};
use crate::tile::{Operand, Tile};
use std::ops::Range;

/// Of all matrix products but those inside attention.
pub static PRODUCTS: Meter = Meter::new("products");

/// Rows and panels of one task: A's rows of a task stay in the second-level cache while its panels
/// stream by.
const TASK_ROWS: usize = 96;
const TASK_PANELS: usize = 8;

/// All of C. `c` has `ldc` elements from row to row.
pub fn matmul(a: &Rows, b: &Panels, c: &mut [f32], ldc: usize, accumulate: bool) {
    product(Isa::current(), a, 0..a.m, b, 0..b.n, 0, c, ldc, accumulate);
}

/// The product of some rows of A and some columns of B (`cols.start` at a panel's border), summed
/// over B's rows `from..from + a.k`. `c` starts at the first of those rows and columns.
pub fn product(
    isa: Isa,
    a: &Rows,
    rows: Range<usize>,
    b: &Panels,
    cols: Range<usize>,
    from: usize,
    c: &mut [f32],
    ldc: usize,
    accumulate: bool,
) {
    let (m, n) = (rows.len(), cols.len());
    if m == 0 || n == 0 {
        return;
    }
    assert!(
        rows.end <= a.m && cols.end <= b.n && from + a.k <= b.k,
        "A{:?} · B{:?} does not fit",
        a.shape(),
        b.shape()
    );
    assert!(cols.start.is_multiple_of(PANEL), "columns start at a panel's border");
    assert!(n <= ldc && c.len() >= (m - 1) * ldc + n, "C holds {m} x {n} with {ldc} elements a row");
    let _span = PRODUCTS.start(2 * m * n * a.k, (m + n) * a.k * a.data.element() + m * n * 4);
    let panels = n.div_ceil(PANEL);
    let (row_tasks, panel_tasks) = (m.div_ceil(TASK_ROWS), panels.div_ceil(TASK_PANELS));
    let c = Shared::new(c);
    par::tasks(row_tasks * panel_tasks, |task| {
        let (rt, pt) = (task % row_tasks, task / row_tasks);
        let first = rt * TASK_ROWS;
        let count = TASK_ROWS.min(m - first);
        for p in pt * TASK_PANELS..((pt + 1) * TASK_PANELS).min(panels) {
            let width = PANEL.min(n - p * PANEL);
            // SAFETY: the asserts above; tasks cover disjoint rows and panels of C.
            unsafe {
                let out = c.at(first * ldc + p * PANEL);
                let panel = (cols.start / PANEL + p) * b.panel();
                if width == PANEL {
                    one_panel(isa, a, rows.start + first, count, b, panel, from, out, ldc, accumulate);
                } else {
                    // The last columns go through a buffer, so that kernels always write whole panels.
                    let mut buffer = [0.0; TASK_ROWS * PANEL];
                    if accumulate {
                        for r in 0..count {
                            std::ptr::copy_nonoverlapping(out.add(r * ldc), buffer.as_mut_ptr().add(r * PANEL), width);
                        }
                    }
                    let whole = buffer.as_mut_ptr();
                    one_panel(isa, a, rows.start + first, count, b, panel, from, whole, PANEL, accumulate);
                    for r in 0..count {
                        std::ptr::copy_nonoverlapping(buffer.as_ptr().add(r * PANEL), out.add(r * ldc), width);
                    }
                }
            }
        }
    });
}

/// SAFETY: the rows, the panel at element `panel` and C lie within their matrices.
unsafe fn one_panel(
    isa: Isa,
    a: &Rows,
    first: usize,
    rows: usize,
    b: &Panels,
    panel: usize,
    from: usize,
    c: *mut f32,
    ldc: usize,
    accumulate: bool,
) {
    let skip = panel + from * PANEL;
    match (&a.data, &b.data) {
        (Storage::F32(x), Storage::F32(y)) => {
            let (a_k, lda, a) = (a.k, a.stride, x.as_ptr().add(first * a.stride));
            f32::rows(isa, Tile { a, lda, b: y.as_ptr().add(skip), k: a_k, c, ldc, accumulate }, rows);
        }
        (Storage::Bf16(x), Storage::Bf16(y)) => {
            assert!(from.is_multiple_of(2));
            assert_eq!(a.halves, b.halves, "both operands of a product have one precision");
            // A's padding is zero, so the padded k may be used wherever B has it too.
            let k = a.kp.min(b.kp - from);
            // (high + low)(high + low) without low · low, which is as small as what two halves lose.
            let products: &[(usize, usize)] = if a.halves == 2 { &[(0, 0), (1, 0), (0, 1)] } else { &[(0, 0)] };
            for (i, (of_a, of_b)) in products.iter().enumerate() {
                let t = Tile {
                    a: x.as_ptr().add(first * a.stride + of_a * a.kp),
                    lda: a.stride,
                    b: y.as_ptr().add(skip + of_b * b.kp * PANEL),
                    k,
                    c,
                    ldc,
                    accumulate: accumulate || i > 0,
                };
                u16::rows(isa, t, rows);
            }
        }
        (Storage::Int16(x, of_rows), Storage::Int16(y, of_columns)) => {
            assert!(from.is_multiple_of(2));
            let t = Tile {
                a: x.as_ptr().add(first * a.stride),
                lda: a.stride,
                b: y.as_ptr().add(skip),
                k: a.kp.min(b.kp - from),
                c,
                ldc,
                accumulate,
            };
            let (of_columns, _) =
                of_columns[panel / b.panel() * PANEL..].split_first_chunk().expect("units of whole panels");
            integer::rows_in_units(isa, t, rows, &of_rows[first..], of_columns);
        }
        (Storage::Int8(x), Storage::Int8(y)) => {
            assert_eq!(from, 0, "a product of bytes sums over all of k");
            let (k, lda, b) = (a.kp, a.stride, y.as_ptr().add(panel));
            let a = x.as_ptr().add(first * lda);
            bytes::rows(isa, Tile { a, lda, b, k, c, ldc, accumulate }, rows);
        }
        _ => panic!("both operands of a product have one precision"),
    }
}
