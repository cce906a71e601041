package export_facteur_policy_on_delivery

import (
	"wit_component/answer"
	attempt "wit_component/facteur_policy_attempt"
	policy "wit_component/facteur_policy_types"

	. "go.bytecodealliance.org/pkg/wit/types"
)

func Ask() Result[policy.Advice, policy.Failure] {
	defer answer.OnPanic()
	advice := policy.MakeAdviceAsPlanned()
	if number := attempt.Number(); attempt.Said().Code >= 400 && number <= 3 {
		advice = policy.MakeAdviceRetryAfter(uint64(number) * 60_000)
	}
	return Ok[policy.Advice, policy.Failure](advice)
}
