/// Makes `mod $module` with one `#[tokio::test]` for each case of the contract, run on the
/// [`Harness`](crate::contract::Harness) `$harness`.
///
/// The first arm is the one list of cases: `room: case case ...;`, a room being a module of
/// [`contract`](crate::contract).
#[macro_export]
macro_rules! contract_cases {
    (@list $then:ident [$($argument:tt)*]) => {
        $crate::contract_cases! { @$then [$($argument)*]
            units_of_work:
                rollback_leaves_nothing
                ;
        }
    };
    (@tests [$module:ident $harness:ty] $($room:ident: $($case:ident)+;)+) => {
        mod $module {
            use super::*;
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let harness = <$harness as $crate::contract::Harness>::new().await;
                    $crate::contract::$room::$case(&harness).await;
                    $crate::contract::Harness::finish(harness).await;
                }
            )+)+
        }
    };
    (@names [] $($room:ident: $($case:ident)+;)+) => {
        [$((stringify!($room), vec![$(stringify!($case)),+]),)+]
    };
    ($module:ident, $harness:ty) => {
        $crate::contract_cases! { @list tests [$module $harness] }
    };
}
