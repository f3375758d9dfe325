//! Installing a system call filter.

use std::io;

/// One instruction of a classic BPF program: opcode, jump if true, jump if false, operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Opcode.
    pub code: u16,
    /// Instructions to skip if the comparison holds.
    pub jt: u8,
    /// Instructions to skip if it doesn't.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

impl Instruction {
    /// Eight bytes as one number, for transport.
    pub fn pack(self) -> u64 {
        u64::from(self.code) << 48 | u64::from(self.jt) << 40 | u64::from(self.jf) << 32 | u64::from(self.k)
    }

    /// The reverse of [`pack`](Self::pack).
    pub fn unpack(packed: u64) -> Self {
        Instruction {
            code: (packed >> 48) as u16,
            jt: (packed >> 40) as u8,
            jf: (packed >> 32) as u8,
            k: packed as u32,
        }
    }
}

/// Puts this thread and its future children under a filter, for good. Needs `no_new_privs` or CAP_SYS_ADMIN.
pub fn install(program: &[Instruction]) -> io::Result<()> {
    let filter: Vec<libc::sock_filter> =
        program.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    let len = u16::try_from(filter.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: `program` points to `len` instructions; the kernel checks and copies them. A filter changes what
    // system calls do, which their callers handle as errors.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &program) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_every_field() {
        let instruction = Instruction { code: 0x8015, jt: 7, jf: 255, k: 0xdead_beef };
        assert_eq!(Instruction::unpack(instruction.pack()), instruction);
    }
}
