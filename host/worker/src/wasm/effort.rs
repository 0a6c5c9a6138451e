//! Estimates from a component's code how much memory and time its compilation needs, before the compiler sees the code.
//!
//! A compiler's memory and time grow not only with the size of a function. The compiler keeps each local and each value
//! on the stack separately for each block. So 1.4 MB of code with 50,000 locals can take gigabytes and minutes. This
//! module counts what the compiler keeps. The limits are far above what the compilers of languages produce. Of all the
//! guests that this project builds, `CPython` has the largest numbers; they are given at each limit.

use wasmparser::{FuncToValidate, FuncValidatorAllocations, FunctionBody, Operator, Parser, ValidPayload, Validator};
use wasmparser::{ValidatorResources, WasmFeatures};

/// The most functions of a component. `CPython`: 13,482.
const FUNCTIONS: u64 = 200_000;

/// The most bytes of one function. `CPython`: 430 KB.
const BODY: u64 = 4 << 20;

/// The most values that one function makes, and the most that it holds at once. `CPython`: under 200,000, and under 50.
const VALUES: u64 = 2_000_000;
const AT_ONCE: u64 = 5_000;

/// The most locals and values on the stack, summed over the places where the control flow of one function divides or
/// joins; and the most in all functions together. `CPython`: about 200,000, and 5 million.
const ALIVE: u64 = 8_000_000;
const ALIVE_IN_ALL: u64 = 200_000_000;

/// Refuses a component that needs too much to compile.
///
/// # Errors
/// Why, as text. A component that is not valid passes, because the compiler reports it better.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let (mut functions, mut alive_in_all) = (0, 0);
    let mut allocations = FuncValidatorAllocations::default();
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else { return Ok(()) };
        let (function, body) = match validator.payload(&payload) {
            Ok(ValidPayload::Func(function, body)) => (function, body),
            Ok(_) => continue,
            Err(_) => return Ok(()),
        };
        functions += 1;
        if functions > FUNCTIONS {
            return Err(format!("it has more than {FUNCTIONS} functions"));
        }
        let index = function.index;
        let found = look(function, &body, std::mem::take(&mut allocations));
        let Ok((effort, free)) = found else { return Ok(()) };
        allocations = free;
        effort.check().map_err(|why| format!("its function {index} {why}"))?;
        alive_in_all += effort.alive;
        if alive_in_all > ALIVE_IN_ALL {
            return Err("its functions together have too many variables, in too many blocks".to_owned());
        }
    }
    Ok(())
}

/// What the compiler keeps for one function.
#[derive(Default)]
struct Effort {
    bytes: u64,
    values: u64,
    at_once: u64,
    alive: u64,
}

impl Effort {
    fn check(&self) -> Result<(), String> {
        if self.bytes > BODY {
            return Err(format!("is larger than {} MiB", BODY >> 20));
        }
        if self.values > VALUES || self.at_once > AT_ONCE {
            return Err(format!("makes more than {VALUES} values, or holds more than {AT_ONCE} at once"));
        }
        if self.alive > ALIVE {
            return Err("has too many variables, in too many blocks".to_owned());
        }
        Ok(())
    }
}

/// Counts through a function, until a limit is reached.
fn look(
    function: FuncToValidate<ValidatorResources>,
    body: &FunctionBody<'_>,
    allocations: FuncValidatorAllocations,
) -> wasmparser::Result<(Effort, FuncValidatorAllocations)> {
    let mut validator = function.into_validator(allocations);
    let mut effort = Effort { bytes: body.range().len() as u64, ..Effort::default() };
    let mut reader = body.get_binary_reader();
    validator.read_locals(&mut reader)?;
    let locals = u64::from(validator.len_locals());
    while !reader.eof() && effort.check().is_ok() {
        let offset = reader.original_position();
        let operator = reader.peek_operator(&validator.visitor(offset))?;
        let (_, made) = operator.operator_arity(&validator.visitor(offset)).unwrap_or_default();
        let height = u64::from(validator.operand_stack_height());
        effort.values += u64::from(made);
        effort.at_once = effort.at_once.max(height);
        effort.alive += match &operator {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::Br { .. }
            | Operator::BrIf { .. } => 1 + locals + height,
            Operator::BrTable { targets } => (1 + u64::from(targets.len())) * (1 + height) + locals,
            _ => 0,
        };
        reader.visit_operator(&mut validator.visitor(offset))??;
    }
    Ok((effort, validator.into_allocations()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(text: &str) -> Vec<u8> {
        wat::parse_str(format!("(module {text})")).unwrap()
    }

    #[test]
    fn components_that_would_take_gigabytes_are_refused() {
        let locals = |n: usize| format!("(local {})", "i32 ".repeat(n));
        let blocks = "(if (local.get 0) (then (local.set 1 (i32.const 1))))".repeat(1_000);
        let wide = format!("(func $many (result {}) unreachable)", "i32 ".repeat(1_000));
        let taking = format!("(func $take (param {}))", "i32 ".repeat(1_000));
        for (text, why) in [
            (format!("(func {} {blocks})", locals(40_000)), "too many variables"),
            (format!("{wide}{taking}(func {})", "call $many call $take ".repeat(3_000)), "more than 2000000 values"),
            (format!("(func {} unreachable)", "i32.const 0 ".repeat(6_000)), "more than 5000 at once"),
            (format!("(func {})", "nop ".repeat(5 << 20)), "larger than 4 MiB"),
            ("(func)".repeat(200_001), "more than 200000 functions"),
        ] {
            let refused = check(&module(&text)).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn the_output_of_compilers_is_accepted() {
        let blocks = "(if (local.get 0) (then (local.set 1 (i32.const 1))))".repeat(5_000);
        assert_eq!(check(&module(&format!("(func (local {}) {blocks})", "i32 ".repeat(300)))), Ok(()));
        // The compiler must refuse this component.
        assert_eq!(check(b"\0asm\x01\0\0\0junk"), Ok(()));
    }
}
