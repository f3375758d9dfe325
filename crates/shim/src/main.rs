//! `cox-shim DIR`: supervises the pod described in `DIR/spec.json`.

fn main() -> std::process::ExitCode {
    cox_shim::main()
}
