-- Ends an attempt whose lease ran out.
-- KEYS: VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS
-- ARGV: call_id, work, max_attempts, reason, grace_ms
--   call_id: names this call, so that a repeated one is answered like the first; work: JSON, `WorkRules` of
--   galaxy/domain/work.py; reason: JSON, as galaxy/domain/reasons.py writes it; grace_ms: as for fail_attempt.lua.
-- Returns {state, attempt, 0}, or {'live', state} when there is nothing to end.
local VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS = unpack(KEYS)
local call_id, work, max_attempts, reason, grace_ms = unpack(ARGV)
-- include: end_attempt.lua
work = cjson.decode(work)
local state, lease_until, attempt, ended_by = unpack(
  redis.call('HMGET', VERSION, 'state', 'lease_until', 'attempt', 'ended_by'))
if ended_by == call_id and (state == work.retrying or state == work.failed) then
  return {state, tonumber(attempt), 0}
end
if state ~= work.state or tonumber(lease_until or '0') > now_ms() then return {'live', state or 'missing'} end
-- If its holder lives after all, its token is worth nothing any more.
redis.call('HINCRBY', VERSION, 'token', 1)
redis.call('HSET', VERSION, 'ended_by', call_id)
return end_attempt(VERSION, work, tonumber(max_attempts), reason, 0, tonumber(grace_ms))
