//! The allocator's free memory.

/// Gives the pages that the C allocator keeps free back to the kernel, from every arena (malloc_trim(3)). Takes
/// milliseconds, during which other threads may wait for memory. Returns whether anything was given back; with another
/// C library than glibc, which gives pages back by itself or not at all, always `false`.
pub fn give_back() -> bool {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes the allocator's own locks, touches free chunks only, and may be called from any thread.
    unsafe {
        libc::malloc_trim(0) == 1
    }
    #[cfg(not(target_env = "gnu"))]
    false
}

#[cfg(test)]
mod tests {
    #[cfg(target_env = "gnu")]
    #[test]
    fn what_was_freed_goes_back_to_the_kernel() {
        let resident = || {
            let statm = std::fs::read_to_string("/proc/self/statm").expect("proc(5) is there");
            statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("pages") * 4096
        };
        // Small pieces, so that they come from the heap, and a last one that keeps the heap's end in use.
        let mut pieces: Vec<Box<[u8; 1024]>> = (0..32 * 1024).map(|_| Box::new([1; 1024])).collect();
        let last = pieces.pop();
        drop(pieces);
        let before = resident();
        assert!(super::give_back());
        assert!(resident() + (16 << 20) < before, "{} kB before, {} kB after", before / 1024, resident() / 1024);
        drop(last);
    }
}
