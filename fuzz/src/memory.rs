//! How much memory a decoder takes.

use peak_alloc::PeakAlloc;

/// Decodes, and takes no more memory than `most` bytes at any time.
pub(crate) fn within<T>(most: usize, decode: impl FnOnce() -> T) -> T {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let decoded = decode();
    let taken = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(taken <= most, "{taken} bytes of {most}");
    decoded
}

/// What a decoder of so many bytes may take: some multiple of them, whatever sizes they announce.
pub(crate) const fn share(len: usize) -> usize {
    8 * len + 64 * 1024
}

/// It counts for the whole process: nothing else may run beside a target.
#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;
