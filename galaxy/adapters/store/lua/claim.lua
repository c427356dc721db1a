-- Begins an attempt of some kind of work on a version: counts it and takes the lease.
-- KEYS: VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS
-- ARGV: request_id, lease_ms, max_attempts, work, wanted
--   request_id: who asks again with the same one gets the same answer; work: JSON, `WorkRules` of
--   galaxy/domain/work.py; wanted: JSON, names of fields of the record that the holder needs.
-- Returns {'claimed', attempt, token, values of the wanted fields...}, or {why not}: 'missing', 'held', 'expired',
-- 'not_due' or 'not_claimable'.
local VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS = unpack(KEYS)
local request_id, lease_ms, max_attempts, work, wanted = unpack(ARGV)
-- include: move.lua
work = cjson.decode(work)
local state, retry_at, lease_until, holder, attempt, last_token = unpack(
  redis.call('HMGET', VERSION, 'state', 'retry_at', 'lease_until', 'claim', work.attempts, 'token'))
local now = now_ms()

local function claimed(number, token)
  return {'claimed', number, token, unpack(redis.call('HMGET', VERSION, unpack(cjson.decode(wanted))))}
end

if not state then return {'missing'} end
if state == work.state then
  if holder == request_id then return claimed(tonumber(attempt or '0'), last_token) end
  return {tonumber(lease_until or '0') > now and 'held' or 'expired'}
end
local claimable = false
for _, each in ipairs(work.claimable) do claimable = claimable or each == state end
if not claimable then return {'not_claimable'} end
if retry_at and tonumber(retry_at) > now then return {'not_due'} end
if tonumber(attempt or '0') >= tonumber(max_attempts) then return {'not_claimable'} end

-- The time is in the token: a Redis that lost its last second must not give the same one to somebody else.
local token = ms(math.max(tonumber(last_token) + 1, now))
local refused = move(VERSION, work.state, nil,
  {'lease_until', ms(now + lease_ms), 'claim', request_id, 'token', token})
if refused then return refused end
set_due(VERSION, now + lease_ms)
return claimed(redis.call('HINCRBY', VERSION, work.attempts, 1), token)
