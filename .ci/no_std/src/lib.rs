//! What a program has to have that has neither std nor libc. Linux on x86_64.
#![no_std]

pub fn exit(code: i32) -> ! {
    // SAFETY: exit_group does not return.
    unsafe {
        core::arch::asm!("syscall", in("rax") 231, in("rdi") code, options(noreturn, nostack));
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(101)
}

/// Defines the entry point: the result is the exit code.
#[macro_export]
macro_rules! start {
    ($main:expr) => {
        extern "C" fn start() -> ! {
            no_std_proof::exit($main)
        }
        core::arch::global_asm!(".globl _start", "_start:", "and rsp, -16", "call {start}", start = sym start);
    };
}

/// Named by the prebuilt `alloc`; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

// What the compiler calls for copies, as there is no libc. Byte by byte, and not recognised as a copy again.
macro_rules! memory {
    ($($body:item)*) => { $(
        #[unsafe(no_mangle)]
        $body
    )* };
}
memory! {
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
        // SAFETY: the caller's contract; rep movsb copies n bytes.
        unsafe { core::arch::asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack)) };
        to
    }
    unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
        // SAFETY: the caller's contract; rep stosb fills n bytes.
        unsafe { core::arch::asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") byte as u8, options(nostack)) };
        to
    }
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
        for i in 0..n {
            let i = if (to as usize) < from as usize { i } else { n - 1 - i };
            // SAFETY: the caller's contract.
            unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) };
        }
        to
    }
    unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
        for i in 0..n {
            // SAFETY: the caller's contract.
            let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
            if x != y {
                return i32::from(x) - i32::from(y);
            }
        }
        0
    }
    unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
        // SAFETY: the caller's contract.
        unsafe { memcmp(a, b, n) }
    }
}
