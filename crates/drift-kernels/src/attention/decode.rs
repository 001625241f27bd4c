//! Decoding: one new token of each sequence against the keys and values of all before it.
//!
//! A task takes a head of keys and a few sequences that begin alike: the pages they share are read once for
//! all their query heads, then each sequence's own. A row's sums have one order, whoever shares.

use super::cache::{Cache, PAGE, Table, View, each_format};
use super::{DECODE, Heads};
use crate::elementwise::{exp, sum_of};
use crate::isa::{Isa, vectorized};
use crate::kept::Kept;
use crate::narrow::prefetch_all;
use crate::operand::PANEL;
use crate::par::{self, Shared};
use crate::tile::Tile;

/// Rows of queries that a task takes of sequences that share: as many as the kernels take at once.
const ROWS: usize = 12;

/// Bytes that one thread has read before another is awake and has done its share.
const WORTH_WAKING: usize = 3 << 19;

/// Buffers, reused from step to step.
#[derive(Debug, Default)]
pub(super) struct Work {
    groups: Vec<Group>,
    /// A task has a region of its own of each: queries `[rows, D]`, scores `[rows, width]` and mixed
    /// values `[rows, D in whole panels]`.
    queries: Vec<f32>,
    scores: Vec<f32>,
    mixed: Vec<f32>,
}

/// Consecutive sequences of one task.
#[derive(Clone, Copy, Debug)]
struct Group {
    first: usize,
    count: usize,
    /// Pages at the beginning that all name.
    shared: usize,
    /// Positions from the first that any of them sees, and where they start.
    start: usize,
    width: usize,
    /// Floats of scores before this group's.
    scores: usize,
}

impl Group {
    /// Sequences from `first` on that begin alike.
    fn of(tables: &[Table], first: usize, heads: Heads, scores: usize) -> Group {
        let most = (ROWS / (heads.queries / heads.keys)).max(1);
        let pages = &tables[first].pages;
        let alike = |other: &Table| pages.iter().zip(&other.pages).take_while(|(a, b)| a == b).count();
        let (mut count, mut shared) = (1, pages.len());
        while count < most && first + count < tables.len() {
            match alike(&tables[first + count]) {
                0 => break,
                pages => shared = shared.min(pages),
            }
            count += 1;
        }
        let lens = tables[first..first + count].iter().map(|table| table.len);
        let start = lens.clone().map(|len| oldest(len, heads)).min().unwrap_or(0) / PANEL * PANEL;
        let width = lens.max().unwrap_or(0).next_multiple_of(PANEL) - start;
        Group { first, count, shared: if count > 1 { shared } else { 0 }, start, width, scores }
    }
}

/// The first position that the last of `len` sees.
fn oldest(len: usize, heads: Heads) -> usize {
    heads.window.map_or(0, |window| len.saturating_sub(window))
}

impl Cache {
    /// Stores one layer's keys and values of every sequence's last position and attends from there:
    /// `qkv[B, (N + 2G) D]` → `out[B, N D]`, B tables of this cache.
    pub fn decode(&mut self, layer: usize, tables: &[Table], qkv: &[f32], out: &mut [f32]) {
        let heads = self.check(layer, tables);
        let (ld, padded) = (heads.width(), heads.padded());
        assert!(qkv.len() == tables.len() * ld && out.len() == tables.len() * heads.queries * heads.dim);
        let place = self.place(layer);
        let Work { groups, queries, scores, mixed } = &mut self.work;
        groups.clear();
        let (mut first, mut floats, mut positions, mut read) = (0, 0, 0, 0);
        while first < tables.len() {
            let group = Group::of(tables, first, heads, floats);
            let seen = |table: &Table| table.len - oldest(table.len, heads);
            let all: usize = tables[first..first + group.count].iter().map(seen).sum();
            positions += all;
            // pages that all see are read once for all; with a small window some see little of them
            read += all
                .saturating_sub((group.count - 1) * (group.shared * PAGE).saturating_sub(group.start))
                .max(group.width);
            first += group.count;
            floats += group.count * heads.queries * group.width;
            groups.push(group);
        }
        queries.resize(tables.len() * heads.queries * heads.dim, 0.0);
        scores.resize(scores.len().max(floats), 0.0);
        mixed.resize(tables.len() * heads.queries * padded, 0.0);
        let traffic = read * self.format.bytes(heads.keys, heads.dim);
        let _span = DECODE.start(4 * positions * heads.queries * heads.dim, traffic + (qkv.len() + out.len()) * 4);
        let (queries, scores, mixed) = (Shared::new(queries), Shared::new(scores), Shared::new(mixed));
        let (out, isa, groups) = (Shared::new(out), Isa::current(), &*groups);
        each_format!(&mut self.store, pages => {
            let pages = pages.view(place);
            let step = Step { isa, heads, pages, tables, qkv, queries, scores, mixed, out };
            // SAFETY: a task has a head of its group's last pages, and its own regions of buffers and output.
            let run = |task: usize| unsafe { step.run(&groups[task / heads.keys], task % heads.keys) };
            let tasks = groups.len() * heads.keys;
            if traffic < WORTH_WAKING { (0..tasks).for_each(run) } else { par::tasks(tasks, run) }
        });
    }
}

/// One layer of all sequences.
struct Step<'a, E> {
    isa: Isa,
    heads: Heads,
    pages: View<'a, E>,
    tables: &'a [Table],
    qkv: &'a [f32],
    queries: Shared<f32>,
    scores: Shared<f32>,
    mixed: Shared<f32>,
    out: Shared<f32>,
}

impl<E: Kept> Step<'_, E> {
    /// One head of keys of a group: stores the new position, then attends.
    ///
    /// SAFETY: no other task has this head and group; pages that are shared are not written.
    unsafe fn run(&self, group: &Group, g: usize) {
        let Heads { dim, queries: n, .. } = self.heads;
        let (share, padded) = (n / self.heads.keys, self.heads.padded());
        let (rows, Group { start, width, .. }) = (group.count * share, *group);
        // The region of this group, then of this head.
        let before = group.first * n + g * rows;
        let queries = self.queries.slice(before * dim, rows * dim);
        let mixed = self.mixed.slice(before * padded, rows * padded);
        let scores = self.scores.slice(group.scores + g * rows * width, rows * width);
        let tables = &self.tables[group.first..group.first + group.count];
        // The processor foresees nothing behind the end of a page of memory: two runs ahead are asked for.
        let both = [0, 1].map(|which| runs(group, tables, share).map(move |run| (run, which)));
        let mut ahead = both.into_iter().flatten();
        let mut ask = || {
            if let Some((run, which)) = ahead.next() {
                self.prefetch(&run, g, which);
            }
        };
        for table in tables {
            let last = table.len - 1;
            prefetch_all(self.pages.keys(table.pages[last / PAGE], g, last % PAGE), dim * PANEL);
        }
        ask();
        ask();
        for (m, table) in tables.iter().enumerate() {
            let row = &self.qkv[(group.first + m) * self.heads.width()..][..self.heads.width()];
            let last = table.len - 1;
            self.pages.keep(table.pages[last / PAGE], last % PAGE, g, row);
            queries[m * share * dim..][..share * dim].copy_from_slice(&row[g * share * dim..][..share * dim]);
        }
        for run in runs(group, tables, share) {
            ask();
            for at in (run.from..run.to).step_by(PANEL) {
                let b = self.pages.keys(run.page, g, at % PAGE).cast_const();
                let (a, c) =
                    (queries[run.row * dim..].as_ptr(), scores[run.row * width..].as_mut_ptr().add(at - start));
                E::rows(self.isa, Tile { a, lda: dim, b, k: dim, c, ldc: width, accumulate: false }, run.rows);
            }
            self.in_units(&run, g, 0, scores, group);
        }
        for (row, scores) in scores.chunks_mut(width).enumerate() {
            let len = tables[row / share].len;
            softmax(scores, oldest(len, self.heads) - start, len - start, self.heads.scale());
        }
        for run in runs(group, tables, share) {
            ask();
            self.in_units(&run, g, 1, scores, group);
            for p in 0..padded / PANEL {
                let b = self.pages.values(run.page, g, p, run.from % PAGE).cast_const();
                let a = scores[run.row * width + run.from - start..].as_ptr();
                let (c, k) = (mixed[run.row * padded + p * PANEL..].as_mut_ptr(), run.to - run.from);
                let accumulate = run.from > start;
                E::rows(self.isa, Tile { a, lda: width, b, k, c, ldc: padded, accumulate }, run.rows);
            }
        }
        for (m, mixed) in mixed.chunks(share * padded).enumerate() {
            let out = self.out.slice(((group.first + m) * n + g * share) * dim, share * dim);
            for (out, mixed) in out.chunks_mut(dim).zip(mixed.chunks(padded)) {
                out.copy_from_slice(&mixed[..dim]);
            }
        }
    }

    /// Asks for the keys (0) or values (1) of a run.
    unsafe fn prefetch(&self, run: &Run, g: usize, which: usize) {
        let (at, positions) = (run.from % PAGE, run.to - run.from);
        if which == 0 {
            let whole = positions.next_multiple_of(PANEL);
            return prefetch_all(self.pages.keys(run.page, g, at), whole * self.heads.dim);
        }
        for p in 0..self.heads.padded() / PANEL {
            prefetch_all(self.pages.values(run.page, g, p, at), positions * PANEL);
        }
    }

    /// Multiplies scores with the units of keys, weights with those of values.
    unsafe fn in_units(&self, run: &Run, g: usize, which: usize, scores: &mut [f32], group: &Group) {
        if !E::UNITS {
            return;
        }
        let units = std::slice::from_raw_parts(self.pages.units_of(run.page, g, which), PAGE);
        let units = &units[run.from % PAGE..][..run.to - run.from];
        for row in scores.chunks_mut(group.width).skip(run.row).take(run.rows) {
            multiply(&mut row[run.from - group.start..][..run.to - run.from], units);
        }
    }
}

/// Positions of one page that some rows see.
struct Run {
    page: usize,
    from: usize,
    to: usize,
    row: usize,
    rows: usize,
}

/// The shared pages with all rows of a group, then each sequence's own with its rows.
fn runs<'a>(group: &Group, tables: &'a [Table], share: usize) -> impl Iterator<Item = Run> + 'a {
    let Group { count, shared, start, .. } = *group;
    let of = move |table: &'a Table, pages: std::ops::Range<usize>, row: usize, rows: usize| {
        pages.map(move |page| {
            let (from, to) = ((page * PAGE).max(start), ((page + 1) * PAGE).min(table.len));
            Run { page: table.pages[page], from, to, row, rows }
        })
    };
    let own = tables
        .iter()
        .enumerate()
        .flat_map(move |(m, table)| of(table, shared.max(start / PAGE)..table.len.div_ceil(PAGE), m * share, share));
    of(&tables[0], start / PAGE..shared, 0, count * share).chain(own)
}

vectorized! {
    fn multiply(x: &mut [f32], by: &[f32]) {
        for (x, by) in x.iter_mut().zip(by) {
            *x *= by;
        }
    }
}

vectorized! {
    /// Softmax of `scores[lo..hi] · scale`; 0 before and behind.
    fn softmax(scores: &mut [f32], lo: usize, hi: usize, scale: f32) {
        scores[..lo].fill(0.0);
        scores[hi..].fill(0.0);
        let seen = &mut scores[lo..hi];
        let mut lanes = [f32::NEG_INFINITY; 16];
        for part in seen.chunks_mut(16) {
            for (lane, value) in lanes.iter_mut().zip(part.iter_mut()) {
                *value *= scale;
                *lane = if *value > *lane { *value } else { *lane };
            }
        }
        let top = lanes.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for value in seen.iter_mut() {
            *value = exp(*value - top);
        }
        let sum = sum_of(seen.len(), |i| seen[i]);
        for value in seen.iter_mut() {
            *value /= sum;
        }
    }
}
