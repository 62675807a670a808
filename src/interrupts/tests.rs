//! All scenes, with a table of what was done.

use super::injector::{Tally, explore};
use super::scenes::*;
use super::world::{Home, World};
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, print};

fn interrupt(scene: &'static Scene, home: Home) -> Result<Tally, String> {
    let interrupts: Rc<[Interrupt]> = scene.interrupts().collect();
    let names: Vec<_> = interrupts.iter().map(Interrupt::to_string).collect();
    explore(&names, &|ending| Rc::new(World::new(scene, home, interrupts.clone(), ending))).map_err(|failure| {
        // To drop it may do anything.
        core::mem::forget(failure.wreck);
        format!("\n{}: {}", scene.name, failure.report)
    })
}

fn interrupt_all(title: &str, home: Home, scenes: &[&'static [Scene]]) {
    let line = |name: &str, [atomics, cells, once, twice]: [&dyn ToString; 4]| {
        let [atomics, cells, once, twice] = [atomics, cells, once, twice].map(ToString::to_string);
        format!("{name:<56}{atomics:>18}{cells:>7}{once:>18}{twice:>19}\n")
    };
    let mut table = line(title, [&"atomic operations", &"cells", &"interrupted once", &"interrupted twice"]);
    let (mut sum, mut failures) = (Tally::default(), String::new());
    for scene in scenes.iter().copied().flatten() {
        match interrupt(scene, home) {
            Ok(tally) => {
                table += &line(scene.name, [&tally.atomics, &tally.cells, &tally.once, &tally.twice]);
                sum.once += tally.once;
                sum.twice += tally.twice;
            }
            Err(failure) => failures += &failure,
        }
    }
    table += &line("", [&"", &"", &sum.once, &sum.twice]);
    print!("\n{table}");
    assert!(failures.is_empty(), "{failures}");
}

#[cfg(feature = "alloc")]
#[test]
fn every_operation_on_the_heap() {
    interrupt_all(
        "on the heap",
        Home::Heap,
        &[
            CREATE,
            DROP,
            CANCEL,
            CANCEL_ON_THE_HEAP,
            WAIT,
            MANY_WAIT,
            CALLBACK,
            LINKED,
            TIMED,
            STATIC_TIMER,
            LOOK,
            WHILE_OTHERS,
        ],
    );
}

#[test]
fn every_operation_in_a_pool() {
    interrupt_all(
        "in a pool",
        Home::Pool,
        &[CREATE, DROP, CANCEL, WAIT, CALLBACK, LINKED, TIMED, STATIC_TIMER, WHILE_OTHERS, FULL],
    );
    #[cfg(feature = "alloc")]
    interrupt_all("in a pool, looked at from the heap", Home::Pool, &[LOOK]);
}

#[cfg(feature = "std")]
#[test]
fn every_operation_of_crowded_tokens() {
    interrupt_all("of crowded tokens, on the heap", Home::Heap, &[BRANCHES]);
    interrupt_all("of crowded tokens, in a pool", Home::Pool, &[BRANCHES]);
}
