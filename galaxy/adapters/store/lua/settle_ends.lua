-- include: dependents.lua
-- Draws what follows from builds and versions that have ended: slots of automatic builds are free again, updates count,
-- and apps that are not on their base image's digest after all are decided about again.
-- KEYS 1: ended, 2: waiting, 3: admitted, 4: updates, 5: base images. ARGV 1: limit, 2: how many may be admitted,
-- 3-8: prefixes of apps, versions, dependents, records, updates, late, 9: how many to return at least, if a slot is free.
-- Returns {how many were settled, members of waiting that come first...}: as many as there are free slots, or ARGV 9.
local now = now_ms()

local function count(image, update, outcome, failed_before)
  if not image or not update then return end
  local key = ARGV[7] .. image
  if redis.call('HGET', key, 'number') ~= update then return end
  redis.call('HINCRBY', key, outcome, 1)
  if outcome == 'failed' then redis.call('HINCRBY', key, failed_before and 'excused' or 'wave_failed', 1) end
  local created, built, failed, dropped = unpack(redis.call('HMGET', key, 'created', 'built', 'failed', 'dropped'))
  if tonumber(created) == (built or 0) + (failed or 0) + (dropped or 0) then
    redis.call('ZADD', KEYS[4], ms(now), image)
  end
end

local function decide_again(app, to, digest)
  local images = redis.call('HGET', ARGV[3] .. app, 'base_images')
  for image in string.gmatch(images or '', '%S+') do
    local wanted = redis.call('HGET', ARGV[6] .. image, 'digest')
    if wanted and (to ~= 'active' or digest ~= wanted) then
      redis.call('ZINCRBY', ARGV[8] .. image, 1, app)
      redis.call('ZADD', KEYS[4], ms(now), image)
    end
  end
end

local OUTCOMES = {active = 'built', build_failed = 'failed', rollout_failed = 'failed',
  cancelled = 'dropped', superseded = 'dropped'}

local function settle(app, number, to, from)
  redis.call('ZREM', KEYS[2], app .. ' ' .. number)
  redis.call('ZREM', KEYS[3], app .. ' ' .. number)
  if to == 'built' then return end
  local image, update, digest, failed_before = unpack(redis.call('HMGET', ARGV[4] .. app .. ':' .. number,
    'base_reference', 'update', 'base_digest', 'failed_before'))
  if from ~= 'retired' then count(image, update, OUTCOMES[to], failed_before) end
  if to == 'active' then
    index_dependent(app, ARGV[3] .. app, ARGV[4] .. app .. ':', ARGV[5], KEYS[5])
  elseif to == 'superseded' and redis.call('HGET', ARGV[3] .. app, 'last') ~= number then
    return -- whoever took its place comes to an end, too
  end
  decide_again(app, to, digest)
end

local ends = redis.call('LPOP', KEYS[1], ARGV[1]) or {}
for _, ended in ipairs(ends) do settle(string.match(ended, '^(%S+) (%d+) (%S+) (%S+)$')) end

local reply = {#ends}
local free = ARGV[2] - redis.call('ZCARD', KEYS[3])
if free > 0 then
  local last = math.max(free, tonumber(ARGV[9])) - 1
  for _, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, last)) do table.insert(reply, member) end
end
return reply
