//! The guest's memory: what a small plugin needs is there when its sandbox is made.
//!
//! The module's memory ends on a page boundary, some KiB after its data (`__heap_base`). These are
//! served first, so that a fresh sandbox makes no system call and touches few pages; only when they
//! are used up the host is asked for more. Blocks have sizes that are powers of two; a freed one
//! goes to the list of its size and is the next that is handed out. Nothing is split or joined: at
//! worst half of the memory is lost, which for a sandbox that lives for one message is a good price
//! for a dozen instructions a call.
//!
//! The arithmetic is in [`Heap`], which knows addresses and sizes only; all that is unsafe is below
//! it.

/// The smallest block: room for the link of its free list, and aligned for every ordinary type.
const SMALLEST: usize = 16;
/// One free list for each power of two of a 32-bit address space.
const CLASSES: usize = 32;

/// Which addresses are free. Addresses are numbers here; 0 is none.
struct Heap {
    /// From here on nothing was ever handed out.
    next: usize,
    /// Where the memory ends.
    end: usize,
    /// The first free block of each size, by the power of two.
    free: [usize; CLASSES],
}

/// The size of the block for so many bytes at this alignment: none if there is no such power of
/// two.
fn block_size(bytes: usize, align: usize) -> Option<usize> {
    bytes
        .max(align)
        .max(SMALLEST)
        .checked_next_power_of_two()
        .filter(|size| (size.trailing_zeros() as usize) < CLASSES)
}

impl Heap {
    const fn new(start: usize, end: usize) -> Self {
        Self { next: start, end, free: [0; CLASSES] }
    }

    /// An address for a block of `size` bytes (a power of two), aligned to `align` (a power of two,
    /// at most `size`). `link` reads the link that a free block holds; `grow` makes so many bytes
    /// more and says where they end.
    fn take(
        &mut self,
        size: usize,
        align: usize,
        link: impl FnOnce(usize) -> usize,
        grow: impl FnOnce(usize) -> Option<usize>,
    ) -> Option<usize> {
        let class = size.trailing_zeros() as usize;
        let first = self.free[class];
        // Blocks of one list may differ in alignment; all of them have the usual one.
        if first != 0 && first.is_multiple_of(align) {
            self.free[class] = link(first);
            return Some(first);
        }
        let start = self.next.checked_next_multiple_of(align.max(SMALLEST))?;
        let after = start.checked_add(size)?;
        if after > self.end {
            self.end = grow(after - self.end)?;
        }
        self.next = after;
        Some(start)
    }

    /// Takes a block back. Returns the link to be written into it.
    fn give(&mut self, block: usize, size: usize) -> usize {
        let class = size.trailing_zeros() as usize;
        std::mem::replace(&mut self.free[class], block)
    }
}

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "a global allocator can't be written without")]
mod global {
    use super::{Heap, block_size};
    use std::alloc::{GlobalAlloc, Layout};
    use std::arch::wasm32::{memory_grow, memory_size};
    use std::cell::UnsafeCell;
    use std::ptr::{null_mut, with_exposed_provenance_mut};

    /// A page of WebAssembly memory, in bytes.
    const PAGE: usize = 65_536;

    unsafe extern "C" {
        /// Where the linker put the end of the module's data and stack. Only its address means
        /// anything.
        static __heap_base: u8;
    }

    #[global_allocator]
    static ALLOCATOR: Allocator = Allocator(UnsafeCell::new(None));

    struct Allocator(UnsafeCell<Option<Heap>>);

    // SAFETY: a guest has one thread: the target has no others (`-Ctarget-feature=+atomics` would
    // be needed).
    unsafe impl Sync for Allocator {}

    impl Allocator {
        /// # Safety
        /// The result must be gone before this is called again.
        #[expect(clippy::mut_from_ref, reason = "the cell's only user, one at a time")]
        unsafe fn heap(&self) -> &mut Option<Heap> {
            // SAFETY: one thread; none of the functions below calls another of them, or anything
            // that allocates, while it holds this.
            unsafe { &mut *self.0.get() }
        }
    }

    // SAFETY: `Heap` hands out each address once until it is given back, within memory that exists
    // and that nobody else uses: it lies between `__heap_base` and the end of the memory as it was
    // at the first call, or in pages that only we grew. Blocks are as large and as aligned as the
    // layout asks.
    unsafe impl GlobalAlloc for Allocator {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let Some(size) = block_size(layout.size(), layout.align()) else { return null_mut() };
            // SAFETY: the borrow ends with this function, and nothing in it allocates.
            let heap = unsafe { self.heap() }.get_or_insert_with(|| {
                let start = (&raw const __heap_base).expose_provenance();
                Heap::new(start, memory_size(0) * PAGE)
            });
            // SAFETY: a free block holds a link, written by `dealloc`; it is 16-aligned.
            let link = |block| unsafe { with_exposed_provenance_mut::<usize>(block).read() };
            let grow = |bytes: usize| {
                let pages = bytes.div_ceil(PAGE);
                let before = memory_grow(0, pages);
                // All ones: the host refused.
                if before == usize::MAX {
                    None
                } else {
                    (before + pages).checked_mul(PAGE).or(Some(usize::MAX & !(PAGE - 1)))
                }
            };
            heap.take(size, layout.align(), link, grow)
                .map_or(null_mut(), with_exposed_provenance_mut)
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // The layout is the one it was allocated with, so that there is such a size.
            let Some(size) = block_size(layout.size(), layout.align()) else { return };
            // SAFETY: as above.
            if let Some(heap) = unsafe { self.heap() } {
                let address = block.expose_provenance();
                let link = heap.give(address, size);
                // SAFETY: the block is ours again, is at least as large as a link, and 16-aligned.
                unsafe { with_exposed_provenance_mut::<usize>(address).write(link) };
            }
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
            let (before, after) =
                (block_size(layout.size(), layout.align()), block_size(bytes, layout.align()));
            if before == after {
                return block;
            }
            // SAFETY: the caller vouches that `bytes` makes a valid layout with this alignment.
            let wanted = unsafe { Layout::from_size_align_unchecked(bytes, layout.align()) };
            // SAFETY: the caller vouches that `bytes` isn't 0.
            let moved = unsafe { self.alloc(wanted) };
            if !moved.is_null() {
                // SAFETY: both blocks are that large, and they are two.
                unsafe { moved.copy_from_nonoverlapping(block, layout.size().min(bytes)) };
                // SAFETY: it was allocated with this layout.
                unsafe { self.dealloc(block, layout) };
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Heap, block_size};
    use std::collections::HashMap;

    /// Memory whose links are kept beside it, and which can't grow beyond a limit.
    struct Memory {
        heap: Heap,
        links: HashMap<usize, usize>,
        limit: usize,
    }

    impl Memory {
        fn take(&mut self, bytes: usize, align: usize) -> Option<(usize, usize)> {
            let size = block_size(bytes, align)?;
            let (links, limit) = (&self.links, self.limit);
            let end = self.heap.end;
            let grow =
                |more: usize| Some(end + more.next_multiple_of(65_536)).filter(|end| *end <= limit);
            Some((self.heap.take(size, align, |block| links[&block], grow)?, size))
        }

        fn give(&mut self, block: usize, size: usize) {
            let link = self.heap.give(block, size);
            self.links.insert(block, link);
        }
    }

    #[test]
    fn blocks_are_aligned_and_never_overlap() {
        let mut memory =
            Memory { heap: Heap::new(1_003, 65_536), links: HashMap::new(), limit: 16 * 65_536 };
        let mut live: Vec<(usize, usize)> = Vec::new();
        let mut seed = 1_u32;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (bytes, align) = ((seed >> 8) as usize % 3_000, 1_usize << ((seed >> 4) % 7));
            if seed.is_multiple_of(3) && !live.is_empty() {
                let (block, size) = live.swap_remove(bytes % live.len());
                memory.give(block, size);
                continue;
            }
            let Some((block, size)) = memory.take(bytes, align) else { continue };
            assert!(
                block.is_multiple_of(align)
                    && block.is_multiple_of(16)
                    && block >= 1_003
                    && size >= bytes
            );
            assert!(block + size <= memory.heap.end);
            assert!(live.iter().all(|&(other, its)| block + size <= other || other + its <= block));
            live.push((block, size));
        }
        assert!(live.len() > 100);
    }

    #[test]
    fn what_is_freed_is_used_again() {
        let mut memory =
            Memory { heap: Heap::new(0x400, 65_536), links: HashMap::new(), limit: 65_536 };
        let (first, size) = memory.take(100, 1).unwrap();
        memory.give(first, size);
        for _ in 0..10_000 {
            let (block, size) = memory.take(65, 1).unwrap();
            assert_eq!((block, size), (first, 128));
            memory.give(block, size);
        }
    }

    #[test]
    fn too_much_is_refused() {
        let mut memory =
            Memory { heap: Heap::new(0x400, 65_536), links: HashMap::new(), limit: 65_536 };
        assert_eq!(memory.take(70_000, 1), None);
        assert_eq!(block_size(usize::MAX, 1), None);
        assert!(memory.take(60_000 - 30_000, 1).is_some());
    }
}
