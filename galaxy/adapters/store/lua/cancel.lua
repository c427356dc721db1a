-- Ends a version that is not active yet, by a person's decision.
-- KEYS: VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS
-- ARGV: call_id, reason
--   call_id: names this call, so that a repeated one is answered like the first; reason: JSON, as
--   galaxy/domain/reasons.py writes it.
-- Returns the state that it was in, which is 'cancelled' when somebody had cancelled it before. An error reply when it
-- is too late.
local VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS = unpack(KEYS)
local call_id, reason = unpack(ARGV)
-- include: move.lua
local state, ended_by = unpack(redis.call('HMGET', VERSION, 'state', 'ended_by'))
if state == 'cancelled' then
  local call, was = string.match(ended_by or '', '^(%S+) (%S+)$')
  return call == call_id and was or state
end
local refused = move(VERSION, 'cancelled', reason, {'ended_by', call_id .. ' ' .. tostring(state)})
if refused then return refused end
return state
