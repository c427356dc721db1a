-- Draws what follows from builds and versions that have ended: slots of automatic builds are free again, updates count,
-- and apps that are not on their base image's digest after all are decided about again.
-- KEYS: ENDED, WAITING, ADMITTED, UPDATES, BASE_IMAGES
-- ARGV: limit, in_flight, at_least, app_prefix, version_prefix, dependents_prefix, base_image_prefix, update_prefix,
--   late_prefix
--   limit: how many ends to settle; in_flight: how many automatic versions may be admitted; at_least: how many to return
--   at least, if a slot is free.
-- Returns {how many were settled, members of WAITING that come first...}: as many as there are free slots, or `at_least`.
local ENDED, WAITING, ADMITTED, UPDATES, BASE_IMAGES = unpack(KEYS)
local limit, in_flight, at_least, app_prefix, version_prefix, dependents_prefix, base_image_prefix, update_prefix,
  late_prefix = unpack(ARGV)
-- include: dependents.lua
local now = now_ms()

local function count(image, update, outcome, failed_before)
  if not image or not update then return end
  local key = update_prefix .. image
  if redis.call('HGET', key, 'number') ~= update then return end
  redis.call('HINCRBY', key, outcome, 1)
  if outcome == 'failed' then redis.call('HINCRBY', key, failed_before and 'excused' or 'wave_failed', 1) end
  local created, built, failed, dropped = unpack(redis.call('HMGET', key, 'created', 'built', 'failed', 'dropped'))
  if tonumber(created) == (built or 0) + (failed or 0) + (dropped or 0) then
    redis.call('ZADD', UPDATES, ms(now), image)
  end
end

local function decide_again(app, to, digest)
  local images = redis.call('HGET', app_prefix .. app, 'base_images')
  for image in string.gmatch(images or '', '%S+') do
    local wanted = redis.call('HGET', base_image_prefix .. image, 'digest')
    if wanted and (to ~= 'active' or digest ~= wanted) then
      redis.call('ZINCRBY', late_prefix .. image, 1, app)
      redis.call('ZADD', UPDATES, ms(now), image)
    end
  end
end

local OUTCOMES = {active = 'built', build_failed = 'failed', rollout_failed = 'failed',
  cancelled = 'dropped', superseded = 'dropped'}

local function settle(app, number, to, from)
  redis.call('ZREM', WAITING, app .. ' ' .. number)
  redis.call('ZREM', ADMITTED, app .. ' ' .. number)
  if to == 'built' then return end
  local image, update, digest, failed_before = unpack(redis.call('HMGET', version_prefix .. app .. ':' .. number,
    'base_reference', 'update', 'base_digest', 'failed_before'))
  if from ~= 'retired' then count(image, update, OUTCOMES[to], failed_before) end
  if to == 'active' then
    index_dependent(app, app_prefix .. app)
  elseif to == 'superseded' and redis.call('HGET', app_prefix .. app, 'last') ~= number then
    return -- whoever took its place comes to an end, too
  end
  decide_again(app, to, digest)
end

local ends = redis.call('LPOP', ENDED, limit) or {}
for _, ended in ipairs(ends) do settle(string.match(ended, '^(%S+) (%d+) (%S+) (%S+)$')) end

local reply = {#ends}
local free = in_flight - redis.call('ZCARD', ADMITTED)
if free > 0 then
  local last = math.max(free, tonumber(at_least)) - 1
  for _, member in ipairs(redis.call('ZRANGE', WAITING, 0, last)) do table.insert(reply, member) end
end
return reply
