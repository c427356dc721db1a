-- include: dependents.lua
-- Number and record in one step, unless the idempotency key was used before.
-- KEYS 9: idempotency key, 10: apps, 11: base images. ARGV 1: app, 2: prefix of version keys, 3: fingerprint,
-- 4: idempotency retention (ms), 5: due in (ms), 6: prefix of dependents, 7...: fields and values of the record.
-- Returns {number, 'created' | 'repeated' | 'conflict', superseded numbers...}.
local app, prefix, fingerprint = ARGV[1], ARGV[2], ARGV[3]

local known = redis.call('GET', KEYS[9])
if known then
  local number, content = string.match(known, '^(%d+) (.*)$')
  return {tonumber(number), content == fingerprint and 'repeated' or 'conflict'}
end

local now = now_ms()
local number = redis.call('HINCRBY', APP, 'last', 1)
local key = prefix .. number
redis.call('HSET', key, 'app', app, 'number', number, 'state', 'queued', 'attempt', 0, 'token', 0,
  'created_at', ms(now), 'enqueued_at', ms(now), unpack(ARGV, 7))
redis.call('ZADD', KEYS[10], 0, app)
index_dependent(app, APP, prefix, ARGV[6], KEYS[11])
local updates, pinned_image, pinned_digest = unpack(
  redis.call('HMGET', APP, 'updates', 'pinned_image', 'pinned_digest'))
if updates == 'pinned' and pinned_image == redis.call('HGET', key, 'base_reference') then
  redis.call('HSET', key, 'wanted_digest', pinned_digest)
end
redis.call('SET', KEYS[9], number .. ' ' .. fingerprint, 'PX', ARGV[4])
note('deployed', key, '')
tell('deployed', key, '')

-- Older versions that are not built yet have no reason to go on.
local reply = {number, 'created'}
for _, older in ipairs(redis.call('ZRANGE', UNFINISHED, 0, -1)) do
  local older_key = prefix .. older
  local state = redis.call('HGET', older_key, 'state')
  if state == 'queued' or state == 'building' or state == 'retrying' then
    local reason = 'Version ' .. number .. ' was deployed before this one was built.'
    local refused = move(older_key, app .. ' ' .. older, 'superseded', reason)
    if refused then return refused end
    redis.call('HSET', older_key, 'failure', reason)
    table.insert(reply, tonumber(older))
  end
end

redis.call('ZADD', UNFINISHED, number, number)
redis.call('ZADD', DUE, ms(now + ARGV[5]), app .. ' ' .. number)
return reply
