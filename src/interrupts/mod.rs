mod controls;
mod injector;
mod memory;
