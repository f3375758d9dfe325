//! From a profile to a BPF program.

use std::collections::BTreeMap;

use cox_sys::seccomp::Instruction;

/// What happens to a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is done.
    Allow,
    /// It fails with this error number.
    Errno(u16),
    /// The process is killed.
    KillProcess,
    /// The thread is killed.
    KillThread,
    /// The process gets `SIGSYS`.
    Trap,
    /// It is done and logged.
    Log,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// Equal to `value`.
    Equal,
    /// Not equal to it.
    NotEqual,
    /// Less (unsigned).
    Less,
    /// Less or equal.
    LessOrEqual,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
    /// Equal to the second value after masking by `value`.
    MaskedEqual(u64),
}

/// A condition on an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub index: u32,
    /// How.
    pub compare: Compare,
    /// With what.
    pub value: u64,
}

/// A rule for some system calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Their numbers.
    pub calls: Vec<u32>,
    /// What happens if all conditions hold.
    pub action: Action,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

/// A whole profile. The first rule that fits decides, except that rules with conditions come before those without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What happens to all others.
    pub default: Action,
    /// The rules.
    pub rules: Vec<Rule>,
}

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP_EQ: u16 = 0x15;
const JUMP_GT: u16 = 0x25;
const JUMP_GE: u16 = 0x35;
const RETURN: u16 = 0x06;

// Offsets in `struct seccomp_data`.
const NR: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;
/// Numbers from here on are x86-64's system calls with 32-bit pointers.
const X32: u32 = 0x4000_0000;

const fn op(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

fn ret(action: Action) -> Instruction {
    let value = match action {
        Action::Allow => 0x7fff_0000,
        Action::Errno(number) => 0x0005_0000 | u32::from(number),
        Action::KillProcess => 0x8000_0000,
        Action::KillThread => 0,
        Action::Trap => 0x0003_0000,
        Action::Log => 0x7ffc_0000,
    };
    op(RETURN, 0, 0, value)
}

/// The program. System calls of other architectures (32-bit ones) fail with ENOSYS.
pub fn compile(profile: &Profile) -> Vec<Instruction> {
    let foreign = ret(Action::Errno(libc_enosys()));
    let mut code = vec![op(LOAD, 0, 0, ARCH), op(JUMP_EQ, 1, 0, NATIVE), foreign, op(LOAD, 0, 0, NR)];
    code.extend([op(JUMP_GE, 0, 1, X32), foreign]);
    for rule in profile.rules.iter().filter(|rule| !rule.conditions.is_empty()) {
        for call in &rule.calls {
            conditional(&mut code, *call, rule);
        }
    }
    // Runs of neighbours with the same action are one comparison. The kernel remembers what is always allowed.
    let mut plain: BTreeMap<u32, Action> = BTreeMap::new();
    for rule in profile.rules.iter().filter(|rule| rule.conditions.is_empty()) {
        for call in &rule.calls {
            plain.entry(*call).or_insert(rule.action);
        }
    }
    let mut runs: Vec<(u32, u32, Action)> = Vec::new();
    for (call, action) in plain {
        match runs.last_mut() {
            Some((_, last, same)) if *last + 1 == call && *same == action => *last = call,
            _ => runs.push((call, call, action)),
        }
    }
    for (first, last, action) in runs {
        code.extend([op(JUMP_GE, 0, 2, first), op(JUMP_GT, 1, 0, last), ret(action)]);
    }
    code.push(ret(profile.default));
    code
}

const fn libc_enosys() -> u16 {
    38
}

/// If the number is `call` and all conditions hold, the action; else on to the next with the number loaded.
fn conditional(code: &mut Vec<Instruction>, call: u32, rule: &Rule) {
    let checks: Vec<Vec<Instruction>> = rule.conditions.iter().map(check).collect();
    let length: usize = checks.iter().map(Vec::len).sum();
    // Checks, the action, loading the number again.
    code.push(op(JUMP_EQ, 0, (length + 2) as u8, call));
    let mut left = length;
    for check in checks {
        let size = check.len();
        for (position, mut instruction) in check.into_iter().enumerate() {
            let to_fail = (left - position - 1 + 1) as u8;
            let to_pass = (size - position - 1) as u8;
            let place = |target: u8| match target {
                FAIL => to_fail,
                PASS => to_pass,
                near => near,
            };
            if matches!(instruction.code, JUMP_EQ | JUMP_GT | JUMP_GE) {
                instruction.jt = place(instruction.jt);
                instruction.jf = place(instruction.jf);
            }
            code.push(instruction);
        }
        left -= size;
    }
    code.extend([ret(rule.action), op(LOAD, 0, 0, NR)]);
}

/// Places that are filled in when the distance is known.
const FAIL: u8 = 255;
const PASS: u8 = 254;

/// One comparison of 64 bits, in two halves, the high one first.
fn check(condition: &Condition) -> Vec<Instruction> {
    let low = ARGS + 8 * condition.index;
    let high = low + 4;
    let (value_high, value_low) = ((condition.value >> 32) as u32, condition.value as u32);
    let (load_high, load_low) = (op(LOAD, 0, 0, high), op(LOAD, 0, 0, low));
    match condition.compare {
        Compare::Equal => {
            vec![load_high, op(JUMP_EQ, 0, FAIL, value_high), load_low, op(JUMP_EQ, PASS, FAIL, value_low)]
        }
        Compare::NotEqual => {
            vec![load_high, op(JUMP_EQ, 0, PASS, value_high), load_low, op(JUMP_EQ, FAIL, PASS, value_low)]
        }
        Compare::MaskedEqual(second) => vec![
            load_high,
            op(AND, 0, 0, value_high),
            op(JUMP_EQ, 0, FAIL, (second >> 32) as u32),
            load_low,
            op(AND, 0, 0, value_low),
            op(JUMP_EQ, PASS, FAIL, second as u32),
        ],
        Compare::Greater | Compare::GreaterOrEqual => {
            let last = if condition.compare == Compare::Greater { JUMP_GT } else { JUMP_GE };
            vec![
                load_high,
                op(JUMP_GT, PASS, 0, value_high),
                op(JUMP_EQ, 0, FAIL, value_high),
                load_low,
                op(last, PASS, FAIL, value_low),
            ]
        }
        Compare::Less | Compare::LessOrEqual => {
            let last = if condition.compare == Compare::Less { JUMP_GE } else { JUMP_GT };
            vec![
                load_high,
                op(JUMP_GT, FAIL, 0, value_high),
                op(JUMP_EQ, 0, PASS, value_high),
                load_low,
                op(last, FAIL, PASS, value_low),
            ]
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// What a program says to a system call.
    pub fn run(code: &[Instruction], arch: u32, call: u32, args: [u64; 6]) -> u32 {
        let load = |at: u32| match at {
            NR => call,
            ARCH => arch,
            _ => {
                let arg = args[((at - ARGS) / 8) as usize];
                if (at - ARGS).is_multiple_of(8) { arg as u32 } else { (arg >> 32) as u32 }
            }
        };
        let (mut at, mut a) = (0usize, 0u32);
        loop {
            let i = code[at];
            at += 1;
            let jump = |holds: bool| if holds { i.jt as usize } else { i.jf as usize };
            match i.code {
                LOAD => a = load(i.k),
                AND => a &= i.k,
                JUMP_EQ => at += jump(a == i.k),
                JUMP_GT => at += jump(a > i.k),
                JUMP_GE => at += jump(a >= i.k),
                RETURN => return i.k,
                other => panic!("{other:#x}"),
            }
        }
    }

    pub fn allows(code: &[Instruction], call: u32, args: [u64; 6]) -> bool {
        run(code, NATIVE, call, args) == 0x7fff_0000
    }

    #[test]
    fn comparisons_are_of_64_bits() {
        let high = 1u64 << 32;
        let table = [
            (Compare::Equal, high + 5, vec![high + 5], vec![5, high + 4, 2 * high + 5]),
            (Compare::NotEqual, high + 5, vec![5, high + 4], vec![high + 5]),
            (Compare::Greater, high + 5, vec![high + 6, 2 * high], vec![high + 5, 6, high]),
            (Compare::GreaterOrEqual, high + 5, vec![high + 5, 2 * high], vec![high + 4, 6]),
            (Compare::Less, high + 5, vec![6, high + 4], vec![high + 5, 2 * high]),
            (Compare::LessOrEqual, high + 5, vec![6, high + 5], vec![high + 6, 2 * high]),
            (Compare::MaskedEqual(high), high + 4, vec![high, high + 3], vec![high + 4, 0]),
        ];
        for (compare, value, good, bad) in table {
            let condition = Condition { index: 1, compare, value };
            let rule = Rule { calls: vec![7], action: Action::Allow, conditions: vec![condition] };
            let code = compile(&Profile { default: Action::Errno(1), rules: vec![rule] });
            for arg in good {
                assert!(allows(&code, 7, [0, arg, 0, 0, 0, 0]), "{compare:?} {arg:#x}");
            }
            for arg in bad {
                assert!(!allows(&code, 7, [0, arg, 0, 0, 0, 0]), "{compare:?} {arg:#x}");
            }
            assert!(!allows(&code, 8, [0; 6]));
        }
    }

    #[test]
    fn several_conditions_all_have_to_hold() {
        let equal = |index, value| Condition { index, compare: Compare::Equal, value };
        let rule =
            Rule { calls: vec![3, 9], action: Action::Allow, conditions: vec![equal(0, 1), equal(5, 2)] };
        let plain = Rule { calls: vec![4, 5, 6], action: Action::Allow, conditions: Vec::new() };
        let code = compile(&Profile { default: Action::Errno(1), rules: vec![rule, plain] });
        assert!(allows(&code, 9, [1, 0, 0, 0, 0, 2]));
        assert!(!allows(&code, 9, [1, 0, 0, 0, 0, 3]));
        assert!(!allows(&code, 9, [0, 0, 0, 0, 0, 2]));
        assert!(allows(&code, 5, [0; 6]));
        assert!(!allows(&code, 7, [0; 6]));
        assert_eq!(run(&code, 0x4000_0003, 5, [0; 6]), 0x0005_0000 | 38);
    }
}
