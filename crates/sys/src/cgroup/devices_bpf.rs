//! On version 2 devices are filtered by a program that is attached to the group.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::{Access, DeviceKind, DeviceRule};

/// One eBPF instruction: opcode, registers (source in the high four bits), offset, immediate.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Insn {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

// Opcodes: class and operation of the eBPF instruction set.
const LOAD_WORD: u8 = 0x61;
const MOVE_REG: u8 = 0xbf;
const MOVE_IMM: u8 = 0xb7;
const AND_IMM32: u8 = 0x54;
const SHIFT_RIGHT_IMM32: u8 = 0x74;
const JUMP_NE_IMM: u8 = 0x55;
const JUMP_NE_REG: u8 = 0x5d;
const EXIT: u8 = 0x95;

// `struct bpf_cgroup_dev_ctx`: access_type (kind in the low half, access in the high half), major, minor.
const KIND_BLOCK: i32 = 1;
const KIND_CHAR: i32 = 2;
const ACCESS_MKNOD: i32 = 1;
const ACCESS_READ: i32 = 2;
const ACCESS_WRITE: i32 = 4;

const fn insn(code: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> Insn {
    Insn { code, registers: src << 4 | dst, offset, immediate }
}

/// r2 kind, r3 access wanted, r4 major, r5 minor; each rule is a block that allows or falls to the next.
fn program(rules: &[DeviceRule]) -> Vec<Insn> {
    let mut code = vec![
        insn(LOAD_WORD, 2, 1, 0, 0),
        insn(MOVE_REG, 3, 2, 0, 0),
        insn(AND_IMM32, 2, 0, 0, 0xffff),
        insn(SHIFT_RIGHT_IMM32, 3, 0, 0, 16),
        insn(LOAD_WORD, 4, 1, 4, 0),
        insn(LOAD_WORD, 5, 1, 8, 0),
    ];
    for rule in rules {
        let mut checks = Vec::new();
        let kind = match rule.kind {
            DeviceKind::Block => KIND_BLOCK,
            DeviceKind::Char => KIND_CHAR,
        };
        checks.push(insn(JUMP_NE_IMM, 2, 0, 0, kind));
        if rule.access != Access::ALL {
            let mut mask = 0;
            for (may, bit) in [
                (rule.access.mknod, ACCESS_MKNOD),
                (rule.access.read, ACCESS_READ),
                (rule.access.write, ACCESS_WRITE),
            ] {
                mask |= if may { bit } else { 0 };
            }
            checks.push(insn(MOVE_REG, 1, 3, 0, 0));
            checks.push(insn(AND_IMM32, 1, 0, 0, mask));
            checks.push(insn(JUMP_NE_REG, 1, 3, 0, 0));
        }
        if let Some(major) = rule.major {
            checks.push(insn(JUMP_NE_IMM, 4, 0, 0, major as i32));
        }
        if let Some(minor) = rule.minor {
            checks.push(insn(JUMP_NE_IMM, 5, 0, 0, minor as i32));
        }
        let length = checks.len();
        for (position, check) in checks.iter_mut().enumerate() {
            if matches!(check.code, JUMP_NE_IMM | JUMP_NE_REG) {
                // Over the rest of the checks and the two instructions that allow.
                check.offset = (length - position - 1 + 2) as i16;
            }
        }
        code.extend(checks);
        code.push(insn(MOVE_IMM, 0, 0, 0, 1));
        code.push(insn(EXIT, 0, 0, 0, 0));
    }
    code.push(insn(MOVE_IMM, 0, 0, 0, 0));
    code.push(insn(EXIT, 0, 0, 0, 0));
    code
}

/// The fields of `union bpf_attr` for loading a program, up to those used.
#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// And for attaching one.
#[repr(C)]
#[derive(Default)]
struct AttachAttr {
    target_fd: u32,
    program_fd: u32,
    kind: u32,
    flags: u32,
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

fn bpf<T>(command: libc::c_int, attr: &T) -> io::Result<i32> {
    // SAFETY: `attr` is an initialised, `repr(C)` prefix of `union bpf_attr` of the size given; the kernel takes
    // the rest as zero. Pointers in it are to memory that the caller keeps alive.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

fn load(code: &[Insn]) -> io::Result<OwnedFd> {
    let attr = LoadAttr {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        instruction_count: code.len() as u32,
        instructions: code.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..LoadAttr::default()
    };
    let fd = bpf(BPF_PROG_LOAD, &attr)?;
    // SAFETY: loading gives a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a program that allows what `rules` name to the group with directory `dir`.
pub(super) fn attach(dir: &Path, rules: &[DeviceRule]) -> io::Result<()> {
    let program = load(&program(rules))?;
    let dir = File::open(dir)?;
    let attr = AttachAttr {
        target_fd: dir.as_raw_fd() as u32,
        program_fd: program.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    bpf(BPF_PROG_ATTACH, &attr).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Interprets the few instructions used here.
    fn allows(code: &[Insn], kind: i32, access: i32, major: u32, minor: u32) -> bool {
        let context = [(access << 16 | kind) as u32, major, minor];
        let mut r = [0u64; 6];
        let mut at = 0usize;
        loop {
            let i = code[at];
            let (dst, src) = ((i.registers & 15) as usize, (i.registers >> 4) as usize);
            at += 1;
            match i.code {
                LOAD_WORD => r[dst] = u64::from(context[i.offset as usize / 4]),
                MOVE_REG => r[dst] = r[src],
                MOVE_IMM => r[dst] = i.immediate as u64,
                AND_IMM32 => r[dst] = u64::from(r[dst] as u32 & i.immediate as u32),
                SHIFT_RIGHT_IMM32 => r[dst] = u64::from(r[dst] as u32 >> i.immediate),
                JUMP_NE_IMM if r[dst] != i.immediate as u64 => at += i.offset as usize,
                JUMP_NE_REG if r[dst] != r[src] => at += i.offset as usize,
                JUMP_NE_IMM | JUMP_NE_REG => {}
                EXIT => return r[0] == 1,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn default_rules_allow_what_they_name_and_nothing_else() {
        let code = program(&DeviceRule::CONTAINER_DEFAULT);
        let read_write = ACCESS_READ | ACCESS_WRITE;
        assert!(allows(&code, KIND_CHAR, read_write, 1, 3));
        assert!(allows(&code, KIND_CHAR, read_write, 136, 7));
        assert!(allows(&code, KIND_BLOCK, ACCESS_MKNOD, 8, 0));
        assert!(!allows(&code, KIND_BLOCK, ACCESS_READ, 8, 0));
        assert!(!allows(&code, KIND_BLOCK, ACCESS_READ | ACCESS_MKNOD, 8, 0));
        assert!(!allows(&code, KIND_CHAR, ACCESS_READ, 1, 1));
        assert!(!allows(&code, KIND_CHAR, ACCESS_READ, 10, 229));
    }

    #[test]
    fn the_kernel_accepts_the_program() {
        if let Err(e) = load(&program(&DeviceRule::CONTAINER_DEFAULT)) {
            panic!("needs root and a kernel with cgroup device programs: {e}");
        }
    }
}
