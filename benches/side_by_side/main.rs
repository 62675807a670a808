//! cancel-tree beside its peers, in one process: `cargo bench --bench side_by_side -- [--quick] [--filter NAME]`.
//!
//! Writes a table to the standard output and to `target/bench/side_by_side.md`, and a plot of each scaling curve beside
//! it. What the rows are: `benches/README.md`.

mod bench;
mod clock;
mod counting;
mod floors;
mod harness;
mod naive;
mod options;
mod parallel;
mod plot;
mod report;
mod scenarios;
mod steps;
mod tokens;

use bench::Bench;
use options::{Mode, Options, Request};
use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let options = match Options::parse() {
        Ok(Request::Measure(options)) => options,
        Ok(Request::List) => return Ok(()),
        Ok(Request::Probe(what)) => {
            scenarios::trees::probe(&what);
            return Ok(());
        }
        Err(error) => {
            eprintln!("side_by_side: {error}\nusage: [--quick] [--filter NAME]");
            std::process::exit(2);
        }
    };
    tokens::check::<cancel_tree::CancellationToken>();
    tokens::check::<tokio_util::sync::CancellationToken>();
    tokens::check::<naive::Naive>();

    // An allocator may be quicker as long as there is one thread only, which no user of these has.
    std::thread::spawn(|| ()).join().expect("an empty thread ends");

    let machine = report::Machine::look();
    let mut bench = Bench::new(options);
    let footprints = scenarios::all(&mut bench);
    let table = report::markdown(&bench, &machine, &footprints);
    println!("{table}");
    let plots: Vec<_> = bench.plots.iter().filter_map(|plot| Some((plot.file, plot::svg(&bench, plot)?))).collect();
    if bench.options.mode != Mode::Test {
        // Beside `target/tmp`, which cargo names for benchmarks and integration tests.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("side_by_side.md"), table)?;
        for (file, svg) in plots {
            fs::write(folder.join(file).with_extension("svg"), svg)?;
        }
        eprintln!("written to {}", folder.display());
    }
    Ok(())
}
