-- Ends an attempt that failed.
-- KEYS: VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS
-- ARGV: token, work, max_attempts, reason, retry_in_ms, grace_ms, steps
--   work: JSON, `WorkRules` of galaxy/domain/work.py; reason: JSON, as galaxy/domain/reasons.py writes it; grace_ms: how
--   long the reconciler waits for the message that begins the next attempt; steps: timings, kept as they are.
-- Returns {state, attempt, when the next attempt is due (ms from now)} or {'lost', state}; a repeated call of the same
-- holder gets the same answer.
local VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS = unpack(KEYS)
local token, work, max_attempts, reason, retry_in_ms, grace_ms, steps = unpack(ARGV)
-- include: lease.lua
-- include: end_attempt.lua
work = cjson.decode(work)
local state, current, retry_at, attempt, automatic = unpack(
  redis.call('HMGET', VERSION, 'state', 'token', 'retry_at', work.attempts, 'automatic'))
if current == token and state == work.retrying then
  return {state, tonumber(attempt), math.max(0, tonumber(retry_at) - now_ms())}
end
if current == token and state == work.failed then return {state, tonumber(attempt), 0} end
local lost = lost_to(VERSION, token, work)
if lost then return {'lost', lost} end
-- Its message has been used up. Should nobody claim it when it is due, it is enqueued again, however full the queue is;
-- an automatic version at once, because for that no message waits.
redis.call('HSET', VERSION, 'steps', steps, 'enqueued_at', 0)
if automatic == '1' then grace_ms = 0 end
return end_attempt(VERSION, work, tonumber(max_attempts), reason, tonumber(retry_in_ms), tonumber(grace_ms))
