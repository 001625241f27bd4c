//! Keys and values of the sequences that are being decoded, in pages.
//!
//! A page holds 64 positions of all layers. A sequence takes pages as it grows and gives them back when it
//! ends, so memory follows what is used. Full pages never change: sequences that begin alike share them.
//!
//! Inside a page, keys and values have the layout of right operands, so that scores and mixing are products
//! with the query heads of a group as rows.

use super::Heads;
use crate::kept::{Kept, KvFormat};
use crate::operand::PANEL;
use crate::par::{self, Shared};

/// Positions of a page: a multiple of a panel, small beside an answer.
pub const PAGE: usize = 64;

/// All pages, of all layers.
#[derive(Debug)]
pub struct Cache {
    /// Of each layer; they differ in their windows alone.
    layers: Vec<Heads>,
    pub(super) format: KvFormat,
    pub(super) store: Store,
    /// Tables that name each page.
    uses: Vec<u32>,
    free: Vec<usize>,
    pub(super) work: super::decode::Work,
}

/// A sequence's pages in one cache, in the order of positions.
#[derive(Debug, Default)]
pub struct Table {
    pub(super) pages: Vec<usize>,
    pub(super) len: usize,
}

impl Table {
    /// Positions.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[derive(Debug)]
pub(super) enum Store {
    F32(Pages<f32>),
    Bf16(Pages<u16>),
    Int8(Pages<i8>),
}

/// Does the same with pages of every format.
macro_rules! each_format {
    ($store:expr, $pages:ident => $body:expr) => {
        match $store {
            crate::attention::cache::Store::F32($pages) => $body,
            crate::attention::cache::Store::Bf16($pages) => $body,
            crate::attention::cache::Store::Int8($pages) => $body,
        }
    };
}
pub(super) use each_format;

#[derive(Debug, Default)]
pub(super) struct Pages<E> {
    /// Each `[L, G]` of keys `[64 / 32, D, 32]`, then values `[⌈D / 32⌉, 64, 32]`.
    data: Vec<Vec<E>>,
    /// Where rows have units: `[pages, L, G, 2, 64]`, keys', then values'.
    units: Vec<f32>,
    /// Of `view`.
    starts: Vec<Shared<E>>,
}

impl Cache {
    /// # Panics
    /// If layers differ in more than their windows, or there is none.
    pub fn new(layers: Vec<Heads>, format: KvFormat) -> Cache {
        let size = |heads: &Heads| (heads.queries, heads.keys, heads.dim);
        assert!(layers.windows(2).all(|two| size(&two[0]) == size(&two[1])) && !layers.is_empty());
        let store = match format {
            KvFormat::F32 => Store::F32(Pages::default()),
            KvFormat::Bf16 => Store::Bf16(Pages::default()),
            KvFormat::Int8 => Store::Int8(Pages::default()),
        };
        Cache { layers, format, store, uses: Vec::new(), free: Vec::new(), work: Default::default() }
    }

    /// Pages that hold something.
    pub fn pages_in_use(&self) -> usize {
        self.uses.len() - self.free.len()
    }

    /// Pages that there are: as many as were ever in use at once.
    pub fn pages(&self) -> usize {
        self.uses.len()
    }

    /// Makes a sequence `positions` longer. What they hold is undefined until it is remembered.
    pub fn extend(&mut self, table: &mut Table, positions: usize) {
        table.len += positions;
        while table.pages.len() * PAGE < table.len {
            let page = self.take();
            table.pages.push(page);
        }
    }

    fn take(&mut self) -> usize {
        let page = self.free.pop().unwrap_or_else(|| {
            let place = self.place(0);
            each_format!(&mut self.store, pages => pages.add(place));
            self.uses.push(0);
            // Room to give all pages back without asking for memory.
            self.free.reserve(self.uses.len());
            self.uses.len() - 1
        });
        self.uses[page] = 1;
        page
    }

    /// Another sequence that begins with all of this one. Full pages are shared, the rest is copied.
    pub fn share(&mut self, table: &Table) -> Table {
        let full = table.len / PAGE;
        let mut pages = Vec::with_capacity(table.pages.len() + 1);
        for &page in &table.pages[..full] {
            self.uses[page] += 1;
            pages.push(page);
        }
        for &from in &table.pages[full..] {
            let to = self.take();
            let place = self.place(0);
            each_format!(&mut self.store, pages => pages.copy(from, to, place));
            pages.push(to);
        }
        Table { pages, len: table.len }
    }

    /// Gives a sequence's pages back.
    pub fn release(&mut self, table: Table) {
        for page in table.pages {
            self.uses[page] -= 1;
            if self.uses[page] == 0 {
                self.free.push(page);
            }
        }
    }

    /// Stores one layer's keys and values of a sequence's positions from `first` on: rows of
    /// `qkv[positions, (N + 2G) D]`.
    pub fn remember(&mut self, layer: usize, table: &Table, first: usize, qkv: &[f32]) {
        let heads = self.layers[layer];
        let end = first + qkv.len() / heads.width();
        assert!(end <= table.len, "{end} positions of {}", table.len);
        let place = self.place(layer);
        let written = &table.pages[first / PAGE..end.div_ceil(PAGE)];
        assert!(written.iter().all(|&page| self.uses[page] == 1), "shared pages do not change");
        each_format!(&mut self.store, pages => {
            let pages = pages.view(place);
            par::tasks(written.len(), |task| {
                let page = first / PAGE + task;
                for position in first.max(page * PAGE)..end.min((page + 1) * PAGE) {
                    let row = &qkv[(position - first) * heads.width()..][..heads.width()];
                    for g in 0..heads.keys {
                        // SAFETY: the page is named once, in this table; one task owns it.
                        unsafe { pages.keep(written[task], position % PAGE, g, row) };
                    }
                }
            });
        });
    }

    /// The layer's heads, once it is certain that the last page of every table is its own.
    pub(super) fn check(&self, layer: usize, tables: &[Table]) -> Heads {
        for table in tables {
            let last = table.pages[(table.len - 1) / PAGE];
            assert_eq!(self.uses[last], 1, "the page of a new position is its sequence's own");
        }
        self.layers[layer]
    }

    pub(super) fn place(&self, layer: usize) -> Place {
        Place { layer, layers: self.layers.len(), heads: self.layers[layer] }
    }
}

impl<E: Kept> Pages<E> {
    fn add(&mut self, place: Place) {
        self.data.push(vec![E::default(); place.values()]);
        if E::UNITS {
            self.units.resize(self.data.len() * place.units(), 1.0);
        }
    }

    fn copy(&mut self, from: usize, to: usize, place: Place) {
        let [source, target] = self.data.get_disjoint_mut([from, to]).expect("two pages");
        target.copy_from_slice(source);
        if E::UNITS {
            let size = place.units();
            self.units.copy_within(from * size..(from + 1) * size, to * size);
        }
    }

    /// For tasks that write positions of their own and read what nobody writes.
    pub fn view(&mut self, place: Place) -> View<'_, E> {
        self.starts.clear();
        self.starts.extend(self.data.iter_mut().map(|page| Shared::new(page)));
        View { starts: &self.starts, units: Shared::new(&mut self.units), place }
    }
}

/// Where things are in a page, for one layer.
#[derive(Clone, Copy)]
pub(super) struct Place {
    layer: usize,
    layers: usize,
    heads: Heads,
}

impl Place {
    /// Values of a head's keys and values in a page.
    fn block(&self) -> usize {
        PAGE * (self.heads.dim + self.heads.padded())
    }

    /// Values of a page, and units.
    fn values(&self) -> usize {
        self.layers * self.heads.keys * self.block()
    }

    fn units(&self) -> usize {
        self.layers * self.heads.keys * 2 * PAGE
    }
}

#[derive(Clone, Copy)]
pub(super) struct View<'a, E> {
    starts: &'a [Shared<E>],
    units: Shared<f32>,
    place: Place,
}

impl<E: Kept> View<'_, E> {
    /// The panel of keys `[D, 32]` with position `at` of a page.
    ///
    /// SAFETY: of this and the following: positions, heads and panels exist.
    pub unsafe fn keys(&self, page: usize, g: usize, at: usize) -> *mut E {
        let Place { layer, heads, .. } = self.place;
        self.starts[page].at((layer * heads.keys + g) * self.place.block() + at / PANEL * PANEL * heads.dim)
    }

    /// Panel `p` of the values from position `at` of a page on.
    pub unsafe fn values(&self, page: usize, g: usize, p: usize, at: usize) -> *mut E {
        let Place { layer, heads, .. } = self.place;
        let block = (layer * heads.keys + g) * self.place.block();
        self.starts[page].at(block + PAGE * heads.dim + (p * PAGE + at) * PANEL)
    }

    /// Units of the keys (0) or values (1) of a page. Formats without units have none.
    pub unsafe fn units_of(&self, page: usize, g: usize, which: usize) -> *mut f32 {
        let Place { layer, heads, .. } = self.place;
        self.units.at(page * self.place.units() + ((layer * heads.keys + g) * 2 + which) * PAGE)
    }

    /// Stores one head's key and value of a row of qkv.
    ///
    /// SAFETY: as above, and no other task touches this head of the page.
    pub unsafe fn keep(&self, page: usize, at: usize, g: usize, row: &[f32]) {
        let heads = self.place.heads;
        let of = |head: usize| &row[head * heads.dim..][..heads.dim];
        let (key, value) = (of(heads.queries + g), of(heads.queries + heads.keys + g));
        let [key_unit, value_unit] = [key, value].map(E::unit);
        let column = self.keys(page, g, at).add(at % PANEL);
        for (l, &from) in key.iter().enumerate() {
            *column.add(l * PANEL) = E::of(from, 1.0 / key_unit);
        }
        for (p, part) in value.chunks(PANEL).enumerate() {
            let to = self.values(page, g, p, at);
            for (l, &from) in part.iter().enumerate() {
                *to.add(l) = E::of(from, 1.0 / value_unit);
            }
        }
        if E::UNITS {
            *self.units_of(page, g, 0).add(at) = key_unit;
            *self.units_of(page, g, 1).add(at) = value_unit;
        }
    }
}
