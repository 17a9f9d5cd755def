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
                a_refused_transaction_leaves_nothing
                uncommitted_changes_are_seen_by_nobody_else
                a_stale_version_is_refused
                racing_savers_of_one_version_have_one_winner
                endpoints_version_rises_with_the_commit
                changed_endpoints_do_not_make_the_application_stale
                endpoints_are_counted_within_their_application
                ;
            events:
                events_are_committed_with_their_change
                a_save_without_events_logs_nothing
                a_follower_misses_nothing_while_others_commit
                the_log_is_read_from_a_position_up_to_a_limit
                the_log_holds_no_secrets
                ;
            uniqueness:
                an_application_uid_is_unique_within_its_tenant
                an_endpoint_uid_is_unique_within_its_application
                an_event_type_name_is_unique_within_its_tenant
                a_person_is_a_member_once
                an_email_is_one_persons
                racing_creators_of_one_uid_have_one_winner
                ;
            isolation:
                repositories_find_nothing_of_another_tenant
                views_show_nothing_of_another_tenant
                messages_are_shown_to_their_own_application_only
                queued_deliveries_are_shown_to_their_own_application_only
                material_is_found_under_its_own_tenant_only
                an_aggregate_of_another_tenant_is_refused
                an_endpoint_in_another_tenants_application_is_refused
                a_message_for_another_application_is_refused
                a_transaction_holds_one_tenant_only
                ;
            round_trips:
                a_tenant_survives
                a_person_survives
                a_membership_survives
                an_invitation_survives
                a_session_survives
                an_api_key_survives
                an_application_survives
                an_event_type_survives
                an_endpoint_survives
                an_endpoint_is_viewed_without_its_secret
                an_endpoints_changes_survive
                ;
            identity:
                an_api_key_is_found_by_its_id
                a_session_has_the_grants_that_its_membership_has_now
                memberships_are_listed_oldest_first
                applications_are_resolved_by_id_and_by_uid
                ;
            accepting:
                an_accepted_message_is_durable_whole
                payloads_are_kept_byte_for_byte
                a_repeated_publish_is_a_replay
                a_key_with_another_body_is_a_conflict
                racing_publishes_of_one_key_are_one_message
                racing_publishes_of_one_key_with_other_bodies_conflict
                racing_publishes_without_a_key_are_all_accepted
                a_key_is_forgotten_after_its_window
                keys_of_other_applications_do_not_meet
                a_rerun_of_an_accept_changes_nothing
                expired_keys_are_removed_in_batches
                ;
            claiming:
                a_claimed_row_says_what_it_is
                racing_claimers_share_no_row
                the_longest_due_goes_first
                what_is_not_due_is_not_claimed
                the_next_due_time_is_known
                a_row_handed_back_is_claimed_anew
                only_the_holder_hands_back
                ;
            material:
                endpoints_are_read_as_they_are
                endpoints_of_many_applications_are_read_at_once
                many_messages_are_read_at_once
                ;
            settling:
                a_delivered_row_leaves_its_history
                a_retry_carries_on
                a_fan_out_explodes_into_rows_that_are_held
                a_fan_out_to_nobody_ends
                a_cancelled_row_ends_without_an_attempt
                a_delivery_that_is_given_up_leaves_no_row
                a_large_batch_is_settled_whole
                an_empty_batch_settles_nothing
                ;
            fencing:
                settling_again_does_nothing
                a_zombie_settles_nothing
                a_zombie_fans_out_nothing
                an_earlier_claim_of_the_same_node_settles_nothing
                a_mixed_batch_settles_exactly_what_is_held
                ;
            nodes:
                epochs_are_never_reused
                a_beat_extends_the_lease
                a_dead_node_is_told_by_its_beat
                rows_of_the_living_are_not_claimable
                rows_of_the_dead_are_taken_over_once
                the_dead_are_named_while_they_own_rows
                rows_of_the_dead_that_are_not_due_go_back
                a_leaving_node_gives_back_what_it_holds
                ;
            deliveries:
                a_delivery_is_pending_before_its_first_attempt
                every_state_of_a_delivery_survives
                every_outcome_of_an_attempt_survives
                deliveries_are_listed_in_pages
                attempts_are_listed_in_pages
                ;
            resending:
                a_resend_is_queued_at_once
                a_resend_of_what_is_queued_is_a_conflict
                racing_resends_are_queued_once
                a_resend_rolled_back_is_not_queued
                a_resend_decided_on_an_old_state_is_stale
                a_resend_of_another_applications_message_is_refused
                ;
            installation:
                the_first_signing_key_wins
                the_first_value_of_a_fact_wins
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
