-- Begins an attempt: counts it and takes the lease.
-- ARGV 1: member of due, 2: lease (ms), 3: claim id (a repeated call gets the same answer), 4: max attempts.
-- Returns {'claimed', attempt, token, base_image, bundle_url, env, wanted_digest or '', automatic} or {reason, detail}.
local member, lease, claim = ARGV[1], ARGV[2], ARGV[3]
local state, retry_at, lease_until, holder, attempt = unpack(
  redis.call('HMGET', VERSION, 'state', 'retry_at', 'lease_until', 'claim', 'attempt'))
local now = now_ms()

local function claimed(number, token)
  local spec = redis.call('HMGET', VERSION, 'base_image', 'bundle_url', 'env', 'wanted_digest', 'automatic')
  return {'claimed', number, token, spec[1], spec[2], spec[3], spec[4] or '', spec[5] or '0'}
end

if not state then return {'missing', ''} end
if state == 'building' then
  if holder == claim then
    return claimed(tonumber(attempt), redis.call('HGET', VERSION, 'token'))
  end
  return {tonumber(lease_until) > now and 'held' or 'expired', ''}
end
if state ~= 'queued' and state ~= 'retrying' then return {'not_buildable', state} end
if state == 'retrying' and tonumber(retry_at) > now then
  return {'not_due', ms(tonumber(retry_at) - now)}
end
if tonumber(attempt) >= tonumber(ARGV[4]) then return {'not_buildable', state} end

local refused = move(VERSION, member, 'building')
if refused then return refused end
redis.call('HSET', VERSION, 'lease_until', ms(now + lease), 'claim', claim)
redis.call('ZADD', DUE, ms(now + lease), member)
-- The time is in the token: a Redis that lost its last second must not give the same one to somebody else.
local token = math.max(tonumber(redis.call('HGET', VERSION, 'token')) + 1, now)
redis.call('HSET', VERSION, 'token', ms(token))
return claimed(redis.call('HINCRBY', VERSION, 'attempt', 1), ms(token))
