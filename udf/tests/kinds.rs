//! How many kinds of failure of its own a program may have. Alone in its process, as they are counted for all of it.

use async_reduce::CallError;

#[test]
fn the_seventeenth_kind_is_counted_as_other() {
    let kinds = [
        "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9", "k10", "k11", "k12", "k13", "k14", "k15", "k16",
    ];
    for _ in 0..2 {
        for kind in kinds {
            assert_eq!(CallError::new(kind).kind(), kind);
        }
        assert_eq!(CallError::new("k17").kind(), "other");
        assert_eq!(
            CallError::new("timeout").kind(),
            "timeout",
            "the library's are not counted"
        );
    }
}
