fn main() {
    println!("cargo::rustc-cfg=cancel_tree_loom");
}
